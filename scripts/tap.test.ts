import test from 'ava'
import { TapReader } from './tap.ts'

const cases = [
  {
    name: 'passed, skipped and failed tests',
    lines: ['TAP version 13', 'ok 1 - a # SKIP', 'ok 2 - b', 'not ok 3 - c', '  ---', '    ok 4 - quoted', '1..3', '# fail 1'],
    exitCode: 1,
    tally: { passed: 1, failed: 1, skipped: 1 },
  },
  {
    name: 'tests that a crash kept from running',
    lines: ['not ok 1 - x.test.ts exited with a non-zero exit code: 1', '# fail 4'],
    exitCode: 1,
    tally: { passed: 0, failed: 4, skipped: 0 },
  },
  {
    name: 'a run that is killed half-way',
    lines: ['ok 1 - a'],
    exitCode: null,
    tally: { passed: 1, failed: 1, skipped: 0 },
  },
  {
    name: 'a bad status without a failed test',
    lines: ['ok 1 - a', '# fail 0'],
    exitCode: 1,
    tally: { passed: 1, failed: 1, skipped: 0 },
  },
  {
    name: 'a clean run',
    lines: ['ok 1 - a with # SKIP in the middle of its title', '# fail 0'],
    exitCode: 0,
    tally: { passed: 1, failed: 0, skipped: 0 },
  },
] as const

for (const { name, lines, exitCode, tally } of cases) {
  test(`TAP: ${name}`, (t) => {
    const reader = new TapReader()
    for (const line of lines) reader.read(line)
    reader.end(exitCode)
    t.deepEqual(reader.tally, tally)
  })
}
