use super::*;

const WHOLE: &str = r#"{"version":1,"entrypoint":["/app"],"cmd":["a","b c"],"env":["A=1=2","PATH=/x"],"workdir":"/w","user":{"uid":5,"gid":6,"groups":[7]}}"#;

fn refuses(text: &str) {
    let error = Manifest::parse(text.as_bytes()).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{text}");
}

#[test]
fn reads_a_whole_manifest() {
    let manifest = Manifest::parse(WHOLE.as_bytes()).unwrap();
    assert_eq!(manifest.argv, ["/app", "a", "b c"]);
    assert_eq!(manifest.workdir, Path::new("/w"));
    assert_eq!(
        manifest.user,
        User {
            uid: 5,
            gid: 6,
            groups: vec![7]
        }
    );
    let variables: Vec<_> = manifest.variables().collect();
    assert_eq!(
        variables,
        [("A".into(), "1=2".into()), ("PATH".into(), "/x".into())]
    );
}

#[test]
fn keeps_what_the_application_declares_and_refuses_what_it_does_not_know() {
    let declared = r#""manifest":{"name":"web","version":"1","memoryMib":256,"ports":[5005],"logs":{"stdout":["audit: "],"stderr":[]},"restart":"no"}"#;
    let whole = WHOLE.replace(r#""version":1,"#, &format!(r#""version":1,{declared},"#));
    let manifest = Manifest::parse(whole.as_bytes()).unwrap();
    let logs = manifest.declared.expect("a declaration").logs;
    assert_eq!(logs.stdout, ["audit: "]);
    assert!(logs.stderr.is_empty());
    refuses(&whole.replace(r#""ports""#, r#""ingress":[],"ports""#));
    refuses(&whole.replace(r#""stderr""#, r#""stdin":[],"stderr""#));
    refuses(&whole.replace(r#","stderr":[]"#, ""));
}

#[test]
fn reads_what_may_be_reached() {
    let with = |egress: &str| {
        let declared = r#""manifest":{"name":"web","version":"1","ports":[],"logs":{"stdout":[],"stderr":[]},"restart":"no","egress":"#;
        WHOLE.replace(
            r#""version":1,"#,
            &format!(r#""version":1,{declared}{egress}}},"#),
        )
    };
    let whole = with(r#"{"allow":[{"host":"a.example","ports":[443]}],"deny":[]}"#);
    let manifest = Manifest::parse(whole.as_bytes()).unwrap();
    let egress = manifest.declared.unwrap().egress.expect("a policy");
    assert_eq!((egress.allow.len(), egress.deny.len()), (1, 0));
    refuses(&with("[]"));
    refuses(&with(r#"{"allow":[{}],"deny":[]}"#));
    refuses(&with(r#"{"allow":[],"deny":[],"log":[]}"#));
}

#[test]
fn gives_a_path_to_an_app_without_one() {
    let manifest = Manifest::parse(WHOLE.replace("PATH=/x", "PATHS=/x").as_bytes()).unwrap();
    assert_eq!(manifest.variable("PATH"), DEFAULT_PATH);
}

#[test]
fn refuses_every_truncation_and_trailing_text() {
    (0..WHOLE.len()).for_each(|end| refuses(&WHOLE[..end]));
    refuses(&format!("{WHOLE}x"));
    assert!(Manifest::parse(format!("{WHOLE}\n").as_bytes()).is_ok());
}

#[test]
fn refuses_what_it_does_not_know() {
    refuses(&WHOLE.replace(r#""version":1"#, r#""version":2"#));
    refuses(&WHOLE.replace(r#""version":1"#, r#""version":1,"extra":0"#));
    refuses(&WHOLE.replace(r#""version":1"#, r#""version":1,"version":1"#));
    refuses(&WHOLE.replace(r#""uid":5"#, r#""uid":5,"name":"root""#));
    refuses(&WHOLE.replace(r#""workdir":"/w","#, ""));
}

#[test]
fn refuses_what_cannot_be_started() {
    refuses(
        &WHOLE
            .replace(r#"["/app"]"#, "[]")
            .replace(r#"["a","b c"]"#, "[]"),
    );
    refuses(&WHOLE.replace("/app", ""));
    refuses(&WHOLE.replace("/app", r"/a\u0000pp"));
    refuses(&WHOLE.replace("A=1=2", r"A=\u0000"));
    refuses(&WHOLE.replace("A=1=2", "A"));
    refuses(&WHOLE.replace("A=1=2", "=1"));
    refuses(&WHOLE.replace("/w", "w"));
    refuses(&WHOLE.replace(r#""uid":5"#, r#""uid":4294967295"#));
    refuses(&WHOLE.replace(r#""uid":5"#, r#""uid":4294967296"#));
    refuses(&WHOLE.replace(r#""uid":5"#, r#""uid":-1"#));
    refuses(&WHOLE.replace("[7]", "[4294967295]"));
}

#[test]
fn refuses_nesting_without_end() {
    refuses(&"[".repeat(100_000));
}

#[test]
fn reads_the_files_of_an_aws_image() {
    let manifest = Manifest::from_lines(
        Some(b"/bin/app\n--flag\n".to_vec()),
        Some(b"A=1\nB=\n".to_vec()),
    );
    let manifest = manifest.unwrap();
    assert_eq!(manifest.argv, ["/bin/app", "--flag"]);
    assert_eq!(manifest.env[..2], ["A=1", "B="]);
    assert_eq!(manifest.variable("PATH"), DEFAULT_PATH);
    assert_eq!(manifest.user, User::default());
}

#[test]
fn an_aws_image_without_files_runs_a_shell() {
    let manifest = Manifest::from_lines(None, None).unwrap();
    assert_eq!(manifest.argv, ["sh"]);
    assert_eq!(manifest.variable("PATH"), DEFAULT_PATH);
}

#[test]
fn refuses_an_empty_cmd_file() {
    assert!(Manifest::from_lines(Some(Vec::new()), None).is_err());
    assert!(Manifest::from_lines(Some(b"\n".to_vec()), None).is_err());
}
