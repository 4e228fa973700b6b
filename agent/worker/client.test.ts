import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { parseCommand, type RunOptions } from '../options.ts'
import { ControllerClient } from './client.ts'
import type { Publication } from './protocol.ts'

/** The pins' folder is on no bpffs, so nothing is loaded. */
function setUp(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-worker-'))
  const publications: Publication[] = []
  const ended: Error[] = []
  const client = new ControllerClient({ onPublication: (each) => publications.push(each), onEnd: (error) => ended.push(error) })
  t.teardown(async () => {
    await client.stop()
    rmSync(folder, { recursive: true })
  })
  const command = parseCommand(['--state-dir', folder, '--bpffs', join(folder, 'pins'), '--log-level', 'error'], {})
  return { folder, client, publications, ended, options: (command as { options: RunOptions }).options }
}

test('the first state is published before the start is answered', async (t) => {
  const { client, publications, options } = setUp(t)
  await client.start(options)
  t.true(publications.some(({ state }) => state?.parts['policy']?.starting === true))
})

test('faults keep code, hint and details on their way', async (t) => {
  const { client, options } = setUp(t)
  await t.throwsAsync(client.apply([{ text: '', file: 'a' }]), { code: 'UNAVAILABLE' })
  await client.start(options)
  const fault = await t.throwsAsync(client.apply([{ text: 'kind: Nothing\napiVersion: v1\n', file: 'a.yaml' }]), { code: 'INVALID_MANIFEST' })
  t.like(fault, { details: [{ file: 'a.yaml', line: 1 }] })
})

test('a store that cannot be used keeps the agent from starting, and says why', async (t) => {
  const { client, options, folder, ended } = setUp(t)
  writeFileSync(join(folder, 'state.db'), 'this is no database, whatever SQLite makes of it'.repeat(100))
  const fault = await t.throwsAsync(client.start(options), { code: 'STORE' })
  t.regex(String(fault?.cause), /not a database/)
  t.deepEqual(ended, [], 'the thread lives until it is stopped')
})
