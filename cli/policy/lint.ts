// `sluice policy lint`: what is probably wrong with policies that are correct as documents.
import type { Command } from 'commander'
import { formatDetail, formatPath, Places } from '../../manifests/index.ts'
import { lint, LINT_CODES, type Finding, type LintCode, type Severity } from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { CliError, EXIT } from '../errors.ts'
import { outputOption, print, type OutputFormat } from '../output.ts'
import { clusterNameOption, fileOption, readSources, tellWarnings, type ClusterOptions } from './inputs.ts'

interface Options extends ClusterOptions {
  readonly filename: readonly string[]
  readonly output: OutputFormat
}

interface LintResult {
  readonly findings: readonly PlacedFinding[]
  /** Findings that an annotation silences. */
  readonly silenced: number
}

interface PlacedFinding {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly severity: Severity
  readonly code: LintCode
  /** `KIND NAMESPACE/NAME` */
  readonly policy: string
  readonly problem: string
  readonly advice: string
}

const ANNOTATION = 'sluice.io/lint-ignore'

const SUMMARY = 'what is probably wrong with policies: no root, no agent'

const CODES = Object.entries(LINT_CODES).map(([code, text]) => `  ${code.padEnd(26)}${text}`).join('\n')

const DESCRIPTION = `${SUMMARY}

Give the workloads and namespaces with the policies: nothing can be said about selectors without those whom they select.
What is only audited, and policies of nodes, are judged as if they were enforced.

${CODES}

The annotation ${ANNOTATION} of a policy silences findings about it: names from the list above, with commas, or all.
The status is 1 if anything above info is left.`

export function register(policy: Command): void {
  policy
    .command('lint')
    .summary(SUMMARY)
    .description(DESCRIPTION)
    .addOption(fileOption().makeOptionMandatory())
    .addOption(clusterNameOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice policy lint -f policies/ workloads.yaml', 'each finding with its place, why, and what to do'],
        ["sluice policy lint -f policies/ workloads.yaml -o json | jq '.findings[].code'", 'for other tools'],
      ),
    )
    .action(run)
}

async function run({ filename, output, ...options }: Options): Promise<void> {
  const { cluster, texts } = await readSources(filename, options)
  // References that are not found are findings here.
  tellWarnings(cluster.warnings.filter(({ code }) => code !== 'UNRESOLVED'))
  if (cluster.workloads.length === 0) throw new CliError('there are no workloads in these manifests: give theirs with -f too')
  const begins = Map.groupBy([...cluster.policies.values()].map(({ location }) => location), ({ file }) => file)
  const places = new Map(texts.map(({ file, text }) => [file, new Places(text, file, begins.get(file) ?? [])]))
  const ignored = (finding: Finding): readonly string[] => annotated(finding.policy, places)
  const unknown = [...cluster.policies.values()].flatMap((policy) => unknownCodes(policy, annotated(policy, places)))
  const found = await lint(cluster)
  const left = found.filter((finding) => !ignored(finding).some((code) => code === finding.code || code === 'all'))
  const findings = [...left, ...unknown].map((finding) => placed(finding, places)).sort(byPlace)
  const silenced = found.length - left.length
  print({ findings, silenced } satisfies LintResult, output, () => describe(findings, silenced))
  if (findings.some(({ severity }) => severity !== 'info')) process.exitCode = EXIT.failed
}

type PlacesByFile = ReadonlyMap<string, Places>
type Policy = Finding['policy']

function annotated({ location }: Policy, places: PlacesByFile): readonly string[] {
  const text = places.get(location.file)?.annotation(location, ANNOTATION) ?? ''
  return text.split(',').map((code) => code.trim()).filter((code) => code !== '')
}

function unknownCodes(policy: Policy, codes: readonly string[]): readonly Finding[] {
  const unknown = codes.filter((code) => code !== 'all' && !Object.hasOwn(LINT_CODES, code))
  return unknown.map((code) => ({
    code: 'malformed-annotation',
    severity: 'warning',
    policy,
    path: ['metadata', 'annotations', ANNOTATION],
    problem: `there is no finding ${JSON.stringify(code)}`,
    advice: `one of ${Object.keys(LINT_CODES).join(', ')}, or all`,
  }))
}

function placed({ policy, path, at, severity, code, problem, advice }: Finding, places: PlacesByFile): PlacedFinding {
  const { kind, namespace, name, location } = policy
  const known = at ?? places.get(location.file)?.locate(location, path)
  const { file, line, column, path: text } = known ?? { ...location, path: formatPath(path) }
  const whose = `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
  return { file, line, column, path: text, severity, code, policy: whose, problem, advice }
}

function byPlace(a: PlacedFinding, b: PlacedFinding): number {
  return a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column
}

function describe(findings: readonly PlacedFinding[], silenced: number): string {
  const texts = findings.map(({ severity, code, policy, problem, advice, file, line, column, path }) => {
    const place = formatDetail({ file, line, column, ...(path !== '' && { path }), message: `${severity} ${code}` })
    return `${place}\n  ${policy}: ${problem}\n  ${advice}`
  })
  const rest = silenced === 0 ? '' : `, ${silenced} silenced`
  return [...texts, `${findings.length === 0 ? 'no findings' : count(findings)}${rest}`].join('\n\n')
}

function count(findings: readonly PlacedFinding[]): string {
  const of = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length
  return `errors: ${of('error')}, warnings: ${of('warning')}, infos: ${of('info')}`
}
