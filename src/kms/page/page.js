// The console's page. What comes from the broker is shown as text, never as markup.

const byId = (id) => document.getElementById(id)
const POLL_MS = 1000
const MOST_ENTRIES = 200

function element(name, text = '', attributes = {}) {
  const made = document.createElement(name)
  made.textContent = text
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

async function ask(path, options) {
  const response = await fetch(path, options)
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.message)
  return answer
}

function say(text) {
  byId('status').textContent = text
}

const told = (work) => (event) => {
  event?.preventDefault()
  work().catch((error) => say(error.message))
}

let after = ''
let shown = null

async function loadKeys() {
  const { keys, next, canChange } = await ask(`/api/keys?after=${encodeURIComponent(after)}`)
  byId('access').hidden = !canChange
  for (const { id, aliases, spec, usage, state } of keys) {
    const row = element('tr')
    const name = element('th', '', { scope: 'row' })
    const open = element('button', id, { type: 'button' })
    open.addEventListener(
      'click',
      told(() => showKey(id)),
    )
    name.append(open)
    row.append(name, element('td', aliases.join(', ')), element('td', `${spec}, ${usage}`))
    row.append(element('td', state, { 'data-state-of': id }))
    byId('key-rows').append(row)
  }
  after = next ?? after
  byId('more-keys').hidden = next === null
}

async function showKey(id) {
  const key = await ask(`/api/keys/${id}`)
  shown = key
  byId('key').hidden = false
  byId('key-title').textContent = `Key ${id}`
  byId('key-description').textContent = `${key.description || 'No description'}. ${key.state}.`
  byId('policy').textContent = JSON.stringify(key.policy, null, 2)
  const warnings = key.warnings.map(({ statement, message }) =>
    element('li', statement === null ? message : `${statement}: ${message}`),
  )
  byId('warnings').replaceChildren(
    ...(warnings.length > 0 ? warnings : [element('li', 'Nothing found.')]),
  )
  const grants = key.grants.map(({ grantee, operations }) =>
    element('li', `${grantee}: ${operations.join(', ')}`),
  )
  byId('grants').replaceChildren(...(grants.length > 0 ? grants : [element('li', 'None.')]))
  byId('decision').replaceChildren()
  showActions(key)
  byId('key-title').focus()
}

function showActions({ id, state, canChange }) {
  const action = state === 'Enabled' ? 'disable' : 'enable'
  const isPossible = canChange && (state === 'Enabled' || state === 'Disabled')
  const button = element('button', `${action === 'enable' ? 'Enable' : 'Disable'} this key`, {
    type: 'button',
  })
  button.addEventListener(
    'click',
    told(async () => {
      const headers = { authorization: `Bearer ${byId('token').value}` }
      const changed = await ask(`/api/keys/${id}/${action}`, { method: 'POST', headers })
      document.querySelector(`[data-state-of="${id}"]`).textContent = changed.state
      await showKey(id)
      say(`Key ${id} is ${changed.state}.`)
    }),
  )
  byId('key-actions').replaceChildren(...(isPossible ? [button] : []))
}

async function decide() {
  const query = new URLSearchParams({
    principal: byId('principal').value,
    action: byId('action').value,
    pcr0: byId('pcr0').value,
  })
  const { decision, reason, statements } = await ask(`/api/keys/${shown.id}/decision?${query}`)
  const list = element('ul')
  for (const one of statements) list.append(element('li', one))
  byId('decision').replaceChildren(element('p', `${decision} (${reason})`), list)
}

let seq = null
let isPaused = false

async function poll() {
  try {
    if (!isPaused) await loadEntries()
  } catch {
    say('The broker does not answer.')
  }
  setTimeout(poll, POLL_MS)
}

async function loadEntries() {
  const { entries, last } = await ask(seq === null ? '/api/audit' : `/api/audit?after=${seq}`)
  const list = byId('entries')
  for (const entry of entries) list.prepend(entryOf(entry))
  while (list.children.length > MOST_ENTRIES) list.lastElementChild.remove()
  seq = last
}

function entryOf({ seq: number, time, principal, operation, key, error, decisions, recipient }) {
  const result = error === undefined ? 'done' : `refused (${error})`
  const why = decisions.map(
    ({ action, allowed, statement, reason }) =>
      `${action}: ${allowed ? 'allowed' : 'denied'} by ${statement ?? reason}`,
  )
  const from = recipient === undefined ? [] : [`document of ${recipient.moduleId}`]
  const parts = [
    time,
    principal,
    operation,
    ...(key === undefined ? [] : [key]),
    result,
    ...why,
    ...from,
  ]
  return element('li', parts.join(' · '), { value: number })
}

byId('more-keys').addEventListener('click', told(loadKeys))
byId('question').addEventListener('submit', told(decide))
byId('access').addEventListener('submit', (event) => event.preventDefault())
byId('pause').addEventListener('click', ({ target }) => {
  isPaused = !isPaused
  target.setAttribute('aria-pressed', String(isPaused))
})
told(loadKeys)()
void poll()
