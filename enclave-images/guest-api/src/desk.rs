//! Where requests wait for the NSM, which answers one at a time and blocks meanwhile: a thread of its own
//! with a short queue.
#![forbid(unsafe_code)]

use crate::problem::Problem;
use std::io;
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// Sends the CBOR bytes of a request to the NSM and returns those of the response.
pub type AskNsm = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + Send>;

/// Requests that wait.
const MAX_WAITING: usize = 32;

struct Question {
    request: Vec<u8>,
    answer: oneshot::Sender<io::Result<Vec<u8>>>,
}

/// Takes requests for the NSM, from any task.
#[derive(Clone)]
pub struct Desk {
    questions: mpsc::Sender<Question>,
}

impl Desk {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn open(mut ask: AskNsm) -> io::Result<Self> {
        let (questions, mut asked) = mpsc::channel::<Question>(MAX_WAITING);
        thread::Builder::new().name("nsm".into()).spawn(move || {
            while let Some(Question { request, answer }) = asked.blocking_recv() {
                // A client that has left costs no NSM request.
                if !answer.is_closed() {
                    let _ = answer.send(ask(&request));
                }
            }
        })?;
        Ok(Self { questions })
    }

    /// Has the NSM answer a request.
    ///
    /// # Errors
    /// `ERR_API_BUSY` when too many wait, `ERR_API_NSM` when the NSM cannot be asked.
    pub async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, Problem> {
        let (answer, answered) = oneshot::channel();
        self.questions
            .try_send(Question { request, answer })
            .map_err(|_| Problem::busy("too many requests wait for the NSM"))?;
        match answered.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Problem::nsm(format!("could not ask the NSM: {error}"))),
            Err(_) => Err(Problem::nsm("could not ask the NSM")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_full_queue_refuses_and_answers_whoever_waits() {
        let (go, wait) = channel::<()>();
        let desk = Desk::open(Box::new(move |request| {
            let _ = wait.recv();
            Ok(request.to_vec())
        }))
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let local = tokio::task::LocalSet::new();
            let tasks: Vec<_> = (0..MAX_WAITING as u8 + 8)
                .map(|number| {
                    let desk = desk.clone();
                    local.spawn_local(async move { desk.ask(vec![number]).await })
                })
                .collect();
            local
                .run_until(async {
                    // Each task has put its question, or was refused.
                    tokio::task::yield_now().await;
                    drop(go);
                    let mut refused = 0;
                    for (number, task) in tasks.into_iter().enumerate() {
                        match task.await.unwrap() {
                            Ok(answer) => assert_eq!(answer, [number as u8]),
                            Err(problem) => {
                                assert_eq!(problem.kind.code, "ERR_API_BUSY");
                                refused += 1;
                            }
                        }
                    }
                    // One may have been taken out of the queue before it was full.
                    assert!((7..=8).contains(&refused), "{refused}");
                })
                .await;
        });
    }
}
