import test from 'ava'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { kernelTest } from '../../test/helpers/index.ts'
import { abandonedLabs, removeAbandonedLabs } from '../index.ts'
import { down, isRunning } from './down.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `npm start` without the capabilities that namespaces and BPF need, whoever runs the tests. */
function startWithoutPrivilege(environment: NodeJS.ProcessEnv) {
  const drop = process.getuid?.() === 0 ? ['setpriv', '--bounding-set', '-sys_admin,-net_admin'] : ['env']
  const [file = '', ...args] = [...drop, process.execPath, 'lab/demo/index.ts', 'up']
  return spawnSync(file, args, { cwd: root, encoding: 'utf8', env: { ...process.env, ...environment } })
}

test('without privilege the engine shows its decisions; in CI that is a failure', (t) => {
  const alone = startWithoutPrivilege({ CI: '' })
  t.is(alone.status, 0, alone.stderr)
  t.regex(alone.stdout, /80\/TCP from/)
  const ci = startWithoutPrivilege({ CI: 'true' })
  t.is(ci.status, 1)
  t.regex(ci.stderr, /demo: failed: CI=true wants real packets, and CAP_\w+ is missing/)
})

test('a demo that was left running is one; one that is being made is not yet', (t) => {
  t.true(isRunning([{ name: 't1x1' }, { name: 'demo' }]))
  t.false(isRunning([{ name: 'demo', owner: { pid: 1, startTime: 1 } }]))
  t.false(isRunning([{ name: 't1x1' }]))
})

kernelTest('what root made is not stopped by others, and they are told so', async (t) => {
  const script = "import { Lab } from './lab/index.ts'; console.log((await Lab.create()).name); setInterval(() => {}, 1000)"
  const maker = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  const [name] = (await once(createInterface({ input: maker.stdout }), 'line')) as [string]
  maker.kill('SIGKILL')
  await once(maker, 'close')
  await t.throwsAsync(down(65_534), { message: new RegExp(`root made .*${name}.*: sudo npm stop$`) })
  t.true(abandonedLabs().includes(name))
  await removeAbandonedLabs()
})
