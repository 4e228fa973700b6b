// `sluice lb simulate`: what a change of LoadBalancers does to connections, before anybody applies it.
import type { Command } from 'commander'
import { compareBalancing, type BackendChange, type BackendRole, type BalancingChange } from '../../whatif/index.ts'
import { examples } from '../command.ts'
import { EXIT } from '../errors.ts'
import { formatTable, outputOption, print, type OutputFormat } from '../output.ts'
import { fileOption, readCluster } from '../policy/inputs.ts'
import { withPort } from '../service.ts'

interface Options {
  readonly filename?: readonly string[]
  readonly output: OutputFormat
}

const SUMMARY = 'what a change of LoadBalancers does to their connections: no root, no agent'

const DESCRIPTION = `${SUMMARY}

OLD and NEW are files or folders of manifests; what both need may stand in files of its own (-f). The tables are those that
every balancer builds. Shares are of a frontend's connections, if these spread evenly. MOVED: new connections of the same
addresses and ports go to another backend; established ones stay where they are, since the slots that change hands are
tracked. LOST: established connections whose backend is removed or down. The status is 1 if any are lost.`

export function register(lb: Command): void {
  lb
    .command('simulate')
    .summary(SUMMARY)
    .description(DESCRIPTION)
    .argument('<old>', 'file or folder of manifests')
    .argument('<new>', 'file or folder of manifests')
    .addOption(fileOption())
    .addOption(outputOption())
    .addHelpText('after', examples(['sluice lb simulate running.yaml planned.yaml', 'the share of each backend before and after, and what breaks']))
    .action(run)
}

async function run(oldPath: string, newPath: string, { filename = [], output }: Options): Promise<void> {
  const [before, after] = [await readCluster([oldPath, ...filename]), await readCluster([newPath, ...filename])]
  const changes = await compareBalancing(before, after)
  print(changes, output, () => describe(changes))
  if (changes.some(({ lost }) => lost > 0)) process.exitCode = EXIT.failed
}

const HEADER = ['FRONTEND', 'SERVICE', 'SLOTS', 'MOVED', 'LOST', 'BACKEND', 'OLD', 'NEW']

function describe(changes: readonly BalancingChange[]): string {
  return changes.length === 0 ? 'there is no LoadBalancer in either version' : formatTable(HEADER, changes.flatMap(rows))
}

function rows(change: BalancingChange): readonly string[][] {
  const { service, address, port, protocol, oldSlots = '-', newSlots = '-', moved, lost, backends } = change
  const slots = oldSlots === newSlots ? `${newSlots}` : `${oldSlots} > ${newSlots}`
  const head = [`${withPort(address, port)}/${protocol}`, service, slots, percent(moved), percent(lost)]
  return backends.map((backend, index) => [...(index === 0 ? head : head.map(() => '')), ...cells(backend)])
}

const cells = ({ name, old, new: next }: BackendChange): string[] => [name, role(old), role(next)]

function role(role: BackendRole | undefined): string {
  if (role === undefined) return '-'
  return role.state === 'active' ? percent(role.share) : role.state
}

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`
