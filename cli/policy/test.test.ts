import test from 'ava'
import { runSluice } from '../testing/sluice.ts'

const CASES = 'examples/policy-tools/cases.yaml'

interface Result {
  readonly passed: number
  readonly failed: number
  readonly cases: readonly { readonly passed: boolean; readonly connections: number; readonly problem?: string; readonly rules: readonly string[]; readonly line: number }[]
}

async function verify(cases: string, ...options: readonly string[]) {
  return runSluice(['policy', 'test', '-', '-f', 'examples/demo', ...options], { input: cases })
}

/** What is wrong about a single case. */
async function problem(entry: string): Promise<string | undefined> {
  const { stdout } = await verify(`cases: [${entry}]`, '-o', 'json')
  return (JSON.parse(stdout) as Result).cases[0]?.problem
}

test('what holds passes, with the rules that decided and status 0', async (t) => {
  const { status, stdout, stderr } = await runSluice(['policy', 'test', CASES, '-f', 'examples/demo', '-o', 'json'])
  t.is(stderr, '')
  t.is(status, 0)
  const { passed, failed, cases } = JSON.parse(stdout) as Result
  t.deepEqual([passed, failed], [5, 0])
  t.like(cases[0], { passed: true, connections: 4, line: 3 })
  t.true(cases[0]?.rules.includes('CiliumNetworkPolicy demo/web ingress[0]'))
})

test('a case that fails says which connection, what is expected, and the rule; the status is 1', async (t) => {
  const { status, stdout } = await verify('cases: [{from: demo/api, to: demo/db, port: 1-65535/TCP, expect: denied}]')
  t.is(status, 1)
  t.regex(stdout, /^FAIL .*demo\/api \(10\.77\.1\.13\) to demo\/db \(10\.77\.1\.14\), 5432\/TCP: expected denied, is allowed \(by NetworkPolicy demo\/db ingress\[0\]\)$/m)
  t.regex(stdout, /\n0 passed, 1 failed\n$/)
})

test('one port of a range, one member of a pattern or one region of the world is enough to fail', async (t) => {
  t.regex(`${await problem('{from: demo/guest, to: demo/web-1, port: 79-81, expect: denied}')}`, /80\/TCP: expected denied, is allowed/)
  t.regex(`${await problem('{from: demo/*, to: demo/api, port: 8080, expect: denied}')}`, /demo\/web-1 .* is allowed/)
  t.regex(`${await problem('{from: demo/guest, to: world, port: 80, expect: allowed}')}`, /expected allowed, is denied/)
  t.is(await problem('{from: demo/guest, to: 10.77.0.5, port: 80, expect: allowed}'), undefined)
})

test('the other reason fails, and so does a case that is about nobody', async (t) => {
  const case_ = (rest: string) => `{from: demo/guest, to: demo/api, port: 5353/UDP, expect: denied, ${rest}}`
  t.is(await problem(case_('by: "CiliumNetworkPolicy demo/api ingressDeny[0]"')), undefined)
  t.regex(`${await problem(case_('by: "CiliumNetworkPolicy demo/api ingress[1]"'))}`, /is denied as expected, but not by .* \(by CiliumNetworkPolicy demo\/api ingressDeny\[0\]\)/)
  t.regex(`${await problem('{from: demo/guest, to: 10.77.0.5, port: 80, expect: allowed, family: IPv6}')}`, /no such connection/)
})

test('faults of the file have their place and what is allowed there', async (t) => {
  const { status, stdout, stderr } = await verify(`cases:
  - {from: demo/gest, to: demo/db, port: 80, expect: denied}
  - {from: demo/guest, to: demo/db, port: 80/HTTP, expect: maybe, because: I say so}
  - {from: demo/guest, to: 10.77.8.1, port: 80, expect: allowed}
`)
  t.deepEqual([status, stdout], [1, ''])
  t.regex(stderr, /standard input:3:\d+: cases\[1\]\.port: .*80\/HTTP.*allowed: .*FIRST-LAST\/PROTOCOL/)
  t.regex(stderr, /standard input:3:\d+: cases\[1\]\.expect: is "maybe"; allowed: allowed, denied, audited/)
  t.regex(stderr, /standard input:3:\d+: cases\[1\]\.because: unknown field; allowed: name, from, /)
  const names = await verify('cases:\n  - {from: demo/gest, to: 10.77.8.1, port: 80, expect: denied}\n')
  t.regex(names.stderr, /standard input:2:\d+: cases\[0\]\.from: nobody is "demo\/gest"; .*workloads: demo\/web-1, /)
  t.regex(names.stderr, /cases\[0\]\.to: 10\.77\.8\.1 is Service demo\/web, and policies see its backends: ask about demo\/web-1/)
})

test('JUnit has a test case with its place for each, and text that XML takes', async (t) => {
  const cases = `cases:
  - {name: 'a < b & "c"', from: demo/api, to: demo/db, port: 5432, expect: denied}
  - {from: demo/api, to: demo/db, port: 5432, expect: allowed}
`
  const { status, stdout } = await verify(cases, '-o', 'junit')
  t.is(status, 1)
  t.regex(stdout, /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites tests="2" failures="1" errors="0" skipped="0">/)
  t.regex(stdout, /<testcase name="a &lt; b &amp; &quot;c&quot;" classname="standard input" file="standard input" line="2">\n +<failure message="demo\/api /)
  t.regex(stdout, /<testcase name="demo\/api to demo\/db 5432: allowed" [^>]* line="3"\/>/)
})
