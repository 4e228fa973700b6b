// `sluice policy test`: whether the policies do what a file of expectations says, for continuous integration.
import { Option, type Command } from 'commander'
import { Expectations, type Verification } from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { EXIT } from '../errors.ts'
import { formatTable, print, type OutputFormat } from '../output.ts'
import { fileOption, daemonOptions, readCluster, readText, refuseFaults, type DaemonOptions } from './inputs.ts'
import { formatJunit } from './junit.ts'

interface Options extends DaemonOptions {
  readonly filename: readonly string[]
  readonly output: OutputFormat | 'junit'
}

interface TestResult {
  readonly passed: number
  readonly failed: number
  readonly cases: readonly CaseResult[]
}

interface CaseResult {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly port: string
  readonly expect: string
  readonly passed: boolean
  /** How many connections the case is about. */
  readonly connections: number
  /** Rules that decided. */
  readonly rules: readonly string[]
  readonly problem?: string
  readonly file: string
  readonly line: number
}

const SUMMARY = 'whether policies do what a file expects: no root, no agent'

const FORMAT = `${SUMMARY}

CASES.yaml (YAML or JSON) lists connections and what has to become of them:

  cases:
    - name: guests never reach the database     # optional
      from: demo/guest                          # namespace/name, a pattern (demo/web-*), an address, or an entity
      to: demo/db
      port: all                                 # 80/TCP, 80, 8000-8100/TCP, UDP, 8/ICMP, or all
      expect: denied                            # allowed, denied or audited
      by: NetworkPolicy demo/db                 # optional: the policy or rule that has to be the reason
      family: IPv4                              # optional; without it the addresses of both families count

A case passes if everything that it names is as expected: every workload of a pattern, every address of the world that
any policy tells apart, every port of a range. What an audit lets pass is audited, not allowed.`

export function register(policy: Command): void {
  const command = policy
    .command('test')
    .summary(SUMMARY)
    .description(FORMAT)
    .argument('<cases>', 'file of expectations, or - for standard input')
    .addOption(fileOption().makeOptionMandatory())
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice policy test cases.yaml -f policies/ workloads.yaml', 'status 1 if any case fails'],
        ['sluice policy test cases.yaml -f policies/ -o junit > report.xml', 'for a CI system'],
      ),
    )
    .action(run)
  for (const option of daemonOptions()) command.addOption(option)
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print the result').choices(['json', 'yaml', 'table', 'junit']).default('table')
}

async function run(path: string, options: Options): Promise<void> {
  const { filename, output, hostPolicy } = options
  const { file, text } = await readText(path)
  const expectations = await Expectations.about(await readCluster(filename, options), hostPolicy)
  const { value = [], errors } = expectations.read(text, file)
  refuseFaults(errors, 'the cases')
  const result = resultOf(value.map((expectation) => expectations.verify(expectation)))
  if (output === 'junit') process.stdout.write(`${junit(file, result)}\n`)
  else print(result, output, () => table(result))
  if (result.failed > 0) process.exitCode = EXIT.failed
}

function resultOf(verifications: readonly Verification[]): TestResult {
  const cases = verifications.map(({ expectation, passed, connections, rules, problem }): CaseResult => {
    const { name, from, to, port, expect, at } = expectation
    const { file, line } = at
    return { name, from, to, port, expect, passed, connections, rules, ...(problem !== undefined && { problem }), file, line }
  })
  const failed = cases.filter(({ passed }) => !passed).length
  return { passed: cases.length - failed, failed, cases }
}

function table({ passed, failed, cases }: TestResult): string {
  const rows = cases.map((each) => [each.passed ? 'pass' : 'FAIL', each.name, `${each.connections}`, each.problem ?? each.rules.join('\n')])
  return `${formatTable(['', 'CASE', 'CONNECTIONS', 'RULES, OR WHAT IS WRONG'], rows)}\n\n${passed} passed, ${failed} failed`
}

function junit(file: string, { cases }: TestResult): string {
  return formatJunit(file, cases.map(({ name, file: place, line, problem }) => ({
    name, file: place, line, ...(problem !== undefined && { failure: problem }),
  })))
}
