// Faults that a run must notice: one wrong line in the engine's or the datapath's source, or changes of maps that get
// lost on their way. Each is planted alone, in a copy of the sources.

import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import type { Change, EngineMap } from '../../engine/index.ts'

export interface SourceFault {
  readonly name: string
  readonly file: string
  /** Text that stands in the file exactly once. */
  readonly find: string
  readonly replace: string
}

export interface MapFault {
  readonly name: string
  /** What of the engine's changes reaches the maps. */
  readonly tamper: (changes: readonly Change[]) => readonly Change[]
}

const engine = (name: string, file: string, find: string, replace: string): SourceFault => ({ name, file: `engine/assembly/${file}`, find, replace })
const bpf = (name: string, file: string, find: string, replace: string): SourceFault => ({ name, file: `bpf/lib/${file}`, find, replace })

export const SOURCE_FAULTS: readonly SourceFault[] = [
  engine('the lower precedence decides', 'resolve.ts', 'if (x != y) return x > y', 'if (x != y) return x < y'),
  engine('a deny gives way to an allow', 'policies.ts', '(action == Action.DENY ? 3 : 2)', '(action == Action.DENY ? 2 : 3)'),
  engine('pass allows', 'resolve.ts', 'get(ruleAction, rule) == Action.PASS ? UNDECIDED : rule', 'rule'),
  engine('a tier that passed is the last one', 'resolve.ts', 'at = layTier(decisions, withAudit, Tier.NORMAL, at)', 'if (at == 0) at = layTier(decisions, withAudit, Tier.NORMAL, at)'),
  engine('a named port is one of every protocol', 'resolve.ts', 'if (protocol == ANY_PROTOCOL || protocol == port >>> 16) addRange', 'addRange'),
  engine('a range ends one port late', 'resolve.ts', 'push(rangeLast, last)\n', 'push(rangeLast, min(last + 1, END - 1))\n'),
  engine('exceptions of a CIDR are not excepted', 'cidrs.ts', 'if (get(excludedMark, cidr) == stamp) continue', ''),
  engine('a CIDR without workloads has them', 'cidrs.ts', 'else if (!workload || sequenceWord(get(sequences, cidr), 0) != 0) push', 'else push'),
  engine('NotIn is In', 'selectors.ts', 'if (some == isNegated(header)) return false', 'if (!some) return false'),
  engine('audit denies', 'resolve.ts', 'if (withAudit || !policyIsAudit(get(rulePolicy, item(rangeRule, at)))) layRange', 'layRange'),
  engine('generations never move', 'publish.ts', 'if (peerClass == 0 || get(leftFlags, peerClass) != 0) return', 'if (peerClass != 0xffffffff) return'),
  engine('the node is no endpoint', 'verdict.ts', '(get(entryFlags, own) & PEER_HOST) != 0 ? HOST_IFINDEX : ', ''),
  bpf('the node has no policy', 'host.h', 'return endpoint_find(HOST_IFINDEX) != NULL;', 'return 0;'),
  bpf('the search misses the last port of a row', 'policy.h', 'port > row->last', 'port >= row->last'),
  bpf('the lower precedence of two rows decides', 'policy.h', 'any->precedence > row->precedence', 'any->precedence < row->precedence'),
  bpf('the class\'s rows are not read', 'policy.h', 'row = policy_row_of(query, query->peer_class);', 'row = 0;'),
  bpf('ingress is not asked about local senders', 'admit.h', 'if (!reason && state->destination_ifindex) {', 'if (!reason && state->destination_ifindex && !state->source_ifindex) {'),
  bpf('an endpoint is never in audit mode', 'admit.h', 'query->action == POLICY_DENY && endpoint->flags & ENDPOINT_AUDIT', 'query->action == POLICY_DENY && !endpoint->flags'),
  bpf('audit is not told', 'admit.h', 'send_event(packet, EVENT_AUDIT, REASON_POLICY_DENIED);', ''),
  bpf('a flow outlives its subject', 'flow.h', 'side->subject == endpoint->subject', '(side->subject == endpoint->subject || endpoint->subject)'),
  bpf('a flow outlives its peer\'s class', 'flow.h', ' && side->class_generation == class_generation(side->peer_class)', ''),
  bpf('exact addresses are not looked up', 'address.h', 'struct peer *peer = bpf_map_lookup_elem(&addresses, address);', 'struct peer *peer = 0;'),
]

export const MAP_FAULTS: readonly MapFault[] = [
  { name: 'endpoints keep their first subject', tamper: withoutFlips() },
  { name: 'the last entry of a run of policy is lost', tamper: (changes) => changes.map((change) => (change.map === 'policy' && change.operation === 'update' ? shortened(change) : change)) },
  { name: 'prefixes are never deleted', tamper: without('prefixes', 'delete') },
  { name: 'addresses stay what they were first', tamper: withoutSecondWrites('addresses') },
]

function without(map: EngineMap, operation: Change['operation']): MapFault['tamper'] {
  return (changes) => changes.filter((change) => change.map !== map || change.operation !== operation)
}

function withoutFlips(): MapFault['tamper'] {
  return withoutSecondWrites('endpoints')
}

/** The first transaction passes. */
function withoutSecondWrites(map: EngineMap): MapFault['tamper'] {
  return (changes) => {
    const isFirst = changes.some((change) => change.map === 'prefixes' && change.count > 3)
    return isFirst ? changes : without(map, 'update')(changes)
  }
}

function shortened(change: Change): Change {
  const count = change.count - 1
  const part = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, (bytes.byteLength / change.count) * count)
  return { ...change, count, keys: part(change.keys), values: part(change.values) }
}

/** Sources with one fault, built. */
export class FaultyBuild implements Disposable {
  readonly root: string

  private constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'sluice-fault-'))
    for (const path of ['engine/assembly', 'bpf', 'scripts', 'asconfig.json']) cpSync(path, join(this.root, path), { recursive: true })
    // The optimizer takes most of a build's time, and a fault is one with and without it.
    const config = join(this.root, 'asconfig.json')
    writeFileSync(config, readFileSync(config, 'utf8').replace('"optimizeLevel": 3', '"optimizeLevel": 0').replace('"converge": true', '"converge": false'))
    symlinkSync(resolve('node_modules'), join(this.root, 'node_modules'))
  }

  /** Throws when the source does not have the fault's text exactly once, or does not build with it. */
  static async plant(fault: SourceFault): Promise<FaultyBuild> {
    const build = new FaultyBuild()
    try {
      const path = join(build.root, fault.file)
      const source = readFileSync(path, 'utf8')
      const places = source.split(fault.find).length - 1
      if (places !== 1) throw new Error(`the fault "${fault.name}" cannot be planted: its text stands ${places} times in ${fault.file}`)
      writeFileSync(path, source.replace(fault.find, () => fault.replace))
      await promisify(execFile)('sh', [join(build.root, 'scripts/build'), fault.file.startsWith('bpf') ? 'bpf' : 'engine'])
      return build
    } catch (error) {
      build[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}
