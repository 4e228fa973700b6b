// What the README shows is what works: its commands are run as they stand there, in their order.
import type { ExecutionContext } from 'ava'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { objectsOf, records, removeLab } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

/** Lines of the first shell block, without their comments. */
function readmeCommands(): string[] {
  const block = /```sh\n(.*?)```/s.exec(readFileSync('README.md', 'utf8'))?.[1] ?? ''
  return block.split('\n').map((line) => line.replace(/\s+#.*$/, '')).filter((line) => line !== '')
}

kernelTest('the commands of the README work in their order, and npm stop leaves nothing', async (t) => {
  t.timeout(240_000)
  if (records().some(({ name }) => name === 'demo')) {
    t.fail('a demo is running on this machine and this test would remove it: npm stop')
    return
  }
  try {
    runCommands(t, readmeCommands())
    t.deepEqual(objectsOf('demo'), { processes: [], namespaces: [], bpffs: [], cgroups: [], folders: [] })
  } finally {
    await removeLab('demo') // Where a command before `npm stop` failed.
  }
})

function runCommands(t: ExecutionContext, commands: readonly string[]): void {
  t.is(commands[0], 'npm start')
  t.is(commands.at(-1), 'npm stop')
  for (const command of commands) {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' })
    t.is(status, 0, `${command}\n${stdout}\n${stderr}`)
    if (command === 'npm start') t.regex(stdout, /(\d+) of \1 as expected/)
  }
}
