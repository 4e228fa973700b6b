// What docs/policy-tools.md shows is what the commands print.
import test from 'ava'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const PAGE = 'docs/policy-tools.md'

interface Shown {
  readonly command: string
  readonly output: string
}

function shown(page: string): readonly Shown[] {
  const blocks = [...page.matchAll(/^```console\n([^]*?)^```$/gm)].map(([, block = '']) => block)
  return blocks.flatMap((block) => block.split(/^\$ /m).slice(1)).map((text) => {
    const [command = '', ...lines] = text.split('\n')
    return { command, output: lines.join('\n') }
  })
}

/** Numbers of classes are the engine's own matter. */
const withoutClasses = (text: string): string => text.replace(/\bclass \d+/g, 'class N')

test('every command of the page prints what the page shows', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-page-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(resolve('examples'), join(folder, 'examples'))
  const commands = shown(readFileSync(PAGE, 'utf8'))
  t.true(commands.length > 10)
  let last = 0
  for (const { command, output } of commands) {
    const text = command.replaceAll('./sluice', resolve('sluice')).replaceAll('$?', `${last}`)
    const { status, stdout } = spawnSync('sh', ['-c', text], { cwd: folder, encoding: 'utf8' })
    t.is(withoutClasses(stdout), withoutClasses(output), command)
    last = status ?? -1
  }
})
