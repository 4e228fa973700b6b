// `sluice policy suggest`: from what is seen to the least policies that allow it.
import { writeFile } from 'node:fs/promises'
import { Option, type Command } from 'commander'
import { Document, stringify } from 'yaml'
import { compile, type Cluster } from '../../manifests/index.ts'
import {
  entityOf, nameOf, formatPort, RecordedEnds, suggest, SUGGESTED_KINDS, type SeenConnection, type SuggestedDocument,
  type SuggestedKind, type Suggestion,
} from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { CliError, EXIT } from '../errors.ts'
import { note } from '../output.ts'
import { flowsOption, readFlowRecord } from './flow-record.ts'
import { fileOption, readCluster } from './inputs.ts'

interface Options {
  readonly flows: string
  readonly filename?: readonly string[]
  readonly kind: SuggestedKind
  readonly world: 'cidr' | 'entity'
  readonly cases?: string
}

const SUMMARY = 'the least policies that allow what was seen: no root, no agent'

const DESCRIPTION = `${SUMMARY}

Prints a policy for each group of workloads: those of one namespace whose labels are the same but for what controllers set
for a revision or a replica (pod-template-hash and its like). It is selected by as few of its labels as tell it from all
other groups, the application's name first. Flows that were dropped ask for nothing; replies are not counted.

Workloads and their labels come from the manifests (-f), and from the flows where those do not have them; policies among
the manifests are not looked at. Read what is printed before you apply it: what did not happen while the flows were
recorded, a nightly job for instance, would be denied.`

export function register(policy: Command): void {
  policy
    .command('suggest')
    .summary(SUMMARY)
    .description(DESCRIPTION)
    .addOption(flowsOption().makeOptionMandatory())
    .addOption(fileOption())
    .addOption(new Option('--kind <kind>', 'what to write').choices(SUGGESTED_KINDS).default('NetworkPolicy'))
    .addOption(worldOption())
    .option('--cases <file>', 'write what was seen as cases for sluice policy test')
    .addHelpText(
      'after',
      examples(
        ['sluice observe -o jsonl --last 100000 > flows.jsonl', 'record first'],
        ['sluice policy suggest --flows flows.jsonl -f workloads/ --cases cases.yaml > suggested.yaml', 'then suggest'],
        ['sluice policy test cases.yaml -f workloads/ suggested.yaml', 'and confirm'],
      ),
    )
    .action(run)
}

function worldOption(): Option {
  return new Option('--world <form>', 'addresses outside one by one, or all as entity world').choices(['cidr', 'entity']).default('cidr')
}

async function run({ flows, filename, cases, kind, world }: Options): Promise<void> {
  if (world === 'entity' && kind === 'NetworkPolicy') {
    const problem = 'a NetworkPolicy has no entities: --world entity goes with --kind CiliumNetworkPolicy'
    throw new CliError(problem, { exitStatus: EXIT.usage })
  }
  const { connections } = await readFlowRecord(flows)
  const known: Cluster | undefined = filename && (await readCluster(filename))
  const ends = new RecordedEnds(known ?? NO_MANIFESTS, connections)
  const suggestion = suggest(connections, ends, { kind, world })
  process.stdout.write(suggestion.policies.map(documentText).join('---\n'))
  explainRest(suggestion, kind)
  if (cases === undefined) return
  const said = connections.filter((seen) => seen.passed > 0 && !suggestion.unsaid.includes(seen))
  await writeFile(cases, stringify({ cases: casesOf(said, ends, kind) }))
}

const NO_MANIFESTS: Cluster = compile([])

function documentText({ document, workloads, flows }: SuggestedDocument): string {
  const node = new Document(document, { aliasDuplicateObjects: false })
  node.commentBefore = ` Flows seen of ${brief(workloads)}: ${flows}`
  return node.toString({ lineWidth: 0 })
}

const SHOWN = 5

function brief(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  return `${names.slice(0, SHOWN).join(', ')}${more}`
}

/** Results alone go to standard output. */
function explainRest({ policies, unsaid, unseen }: Suggestion, kind: SuggestedKind): void {
  if (policies.length === 0) note('no flow of a workload passed: there is nothing to suggest')
  if (unseen.length > 0) note(`no policy for workloads that no flow is about: ${brief(unseen)}`)
  if (unsaid.length === 0) return
  const texts = unsaid.map(({ from, to, key }) => `${from.workload ?? from.address} to ${to.workload ?? to.address} ${formatPort(key)}`)
  const hint = kind === 'NetworkPolicy' ? '; --kind CiliumNetworkPolicy has more words' : ''
  note(`left out, since a ${kind} has no words for it: ${brief(texts)}${hint}`)
}

function casesOf(connections: readonly SeenConnection[], ends: RecordedEnds, kind: SuggestedKind): readonly object[] {
  const name = (end: SeenConnection['from']): string => {
    const { workload, standIn } = ends.endOf(end)
    // Manifests do not tell whose address it is, so that the kind's own word for it has to.
    const entity = kind === 'CiliumNetworkPolicy' ? standIn && entityOf(standIn.labels) : undefined
    return workload === undefined ? (entity ?? end.address) : nameOf(workload)
  }
  const cases = connections.map(({ from, to, key }) => ({ from: name(from), to: name(to), port: formatPort(key), expect: 'allowed' }))
  return [...new Map(cases.map((each) => [JSON.stringify(each), each])).values()]
}
