import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { Lab, run, runVariable } from '../lab/index.ts'
import { kernelTest } from '../test/helpers/index.ts'
import { machineState, whatIsLeft } from './leaks.ts'

kernelTest('what a test run leaves is named: labs, namespaces, processes', async (t) => {
  const [id, before] = [randomUUID(), machineState()]
  const namespace = `sluice-leak${process.pid}`
  const sleeper = spawn('sleep', ['60'], { env: { ...process.env, [runVariable]: id }, stdio: 'ignore' })
  await using lab = await Lab.create()
  try {
    await run(['ip', 'netns', 'add', namespace])
    const left = whatIsLeft(before, id)
    t.true(left.includes(`/run/netns/${namespace}`))
    t.true(left.includes(`process ${sleeper.pid} (sleep 60)`))
    t.false(left.some((line) => line.includes(lab.name)), 'a lab of another run')
  } finally {
    sleeper.kill()
    await once(sleeper, 'exit')
    await run(['ip', 'netns', 'delete', namespace])
  }
  t.deepEqual(whatIsLeft(before, id), [])
})
