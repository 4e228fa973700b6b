// The differential run: random worlds and packets; the engine, the naive model and the loaded BPF programs must agree
// about each of them, while policies, labels and addresses change between the packets.

import { EventKind } from '../../bpf/index.ts'
import { addressOf, type Change, type Decision, Engine, type SideVerdict } from '../../engine/index.ts'
import { type ModelSide, modelVerdict, type ModelVerdict } from '../../engine/testing/index.ts'
import type { TcpFlag } from '../packet.ts'
import { aimedPacket } from './aim.ts'
import { Coverage } from './coverage.ts'
import { CLASSES } from './datapath.ts'
import type { Datapath, Seen } from './datapath.ts'
import { Expectation, hasReply, reversed } from './expectation.ts'
import type { Decided, Expected } from './expectation.ts'
import { enter } from './frame.ts'
import { Random } from './random.ts'
import { Scenario } from './scenario.ts'
import { randomPacket } from './traffic.ts'
import type { Packet } from './traffic.ts'
import { isOfHost } from './world.ts'

export interface RunOptions {
  readonly seed: number
  readonly sets: number
  readonly packetsPerSet: number
  /** Another build of the engine: planted faults. */
  readonly wasm?: Uint8Array<ArrayBuffer>
  /** What reaches the maps of the engine's changes: planted faults again. */
  readonly tamper?: (changes: readonly Change[]) => readonly Change[]
}

/** The first packet on which one of the two differs from what the model expects; the seed and set repeat it. */
export interface Difference {
  seed: number
  set: number
  packet: Packet
  who: 'engine' | 'datapath'
  expected: object
  got: object
}

const PACKETS_BETWEEN_CHANGES = 8
const CAPACITIES = { identities: 64, labels: 1024, selectors: 1024, rules: 1024, addresses: 512, endpoints: 16, classes: CLASSES - 1, policyEntries: 65_536, policyRows: 262_144 } as const

export async function run(datapath: Datapath, options: RunOptions, inside: (body: () => void) => void): Promise<{ coverage: Coverage; difference: Difference | undefined }> {
  const coverage = new Coverage()
  let difference: Difference | undefined
  for (let set = 0; set < options.sets && difference === undefined; set++) {
    const engine = await loadEngine(options.wasm)
    inside(() => {
      difference = new SetRun(datapath, engine, coverage, options, set).run(options.packetsPerSet)
    })
  }
  return { coverage, difference }
}

function loadEngine(wasm: Uint8Array<ArrayBuffer> | undefined): Promise<Engine> {
  return wasm === undefined ? Engine.load({ capacities: CAPACITIES }) : Engine.instantiate(wasm, { capacities: CAPACITIES })
}

interface Sent {
  packet: Packet
  flags: readonly TcpFlag[]
}

class SetRun {
  readonly #datapath: Datapath
  readonly #engine: Engine
  readonly #coverage: Coverage
  readonly #random: Random
  readonly #tamper: (changes: readonly Change[]) => readonly Change[]
  readonly #place: { seed: number; set: number }
  readonly #scenario: Scenario
  readonly #expectation: Expectation
  readonly #sent: Packet[] = []
  /** Whether a rule that passes had a say in the packet that the model was asked about last. */
  #passed = false

  constructor(datapath: Datapath, engine: Engine, coverage: Coverage, { seed, tamper }: RunOptions, set: number) {
    this.#datapath = datapath
    this.#engine = engine
    this.#coverage = coverage
    this.#place = { seed, set }
    this.#tamper = tamper ?? ((changes) => changes)
    this.#random = new Random(seed * 1_000_003 + set)
    datapath.clear()
    this.#scenario = new Scenario(this.#random, engine, datapath.ifindexes)
    this.#expectation = new Expectation((packet) => this.#model(packet))
  }

  run(packets: number): Difference | undefined {
    this.#apply()
    for (let count = 1; count <= packets; count++) {
      const difference = this.#step(this.#next())
      if (difference !== undefined) return difference
      if (count % PACKETS_BETWEEN_CHANGES === 0) this.#change()
    }
    this.#coverage.addWithoutEffect(this.#scenario.withoutEffect)
    return undefined
  }

  #change(): void {
    this.#scenario.change()
    this.#apply()
  }

  #apply(): void {
    this.#datapath.apply(this.#tamper(this.#engine.takeChanges()))
  }

  /** A new conversation, or more of an earlier one from either side. */
  #next(): Sent {
    const random = this.#random
    const earlier = this.#sent.filter(({ from, to }) => this.#isHere(from) || this.#isHere(to))
    if (earlier.length === 0 || random.chance(0.5)) {
      const packet = random.chance(0.6) ? this.#aimed() : randomPacket(random, this.#scenario.world)
      this.#sent.push(packet)
      return { packet, flags: ['SYN'] }
    }
    const packet = random.pick(earlier)
    const reply = reversed(packet)
    const replies = hasReply(packet) && random.chance(0.5) && this.#expectation.isPossible(reply)
    return { packet: replies ? reply : packet, flags: ['ACK'] }
  }

  #aimed(): Packet {
    return aimedPacket(this.#random, this.#scenario.world, (packet, { number }) => this.#model(packet).rule === number)
  }

  #isHere(address: string): boolean {
    return isOfHost(address) || this.#scenario.world.workloads.some(({ ifindex, addresses }) => ifindex > 0 && addresses.includes(address))
  }

  #step({ packet, flags }: Sent): Difference | undefined {
    const expected = this.#expectation.packet(packet)
    const { hook, ifindex, frame } = enter(packet, this.#scenario.world, this.#datapath, flags)
    const seen = this.#datapath.send(hook, ifindex, frame)
    this.#count(packet, expected, seen)
    const report = (who: Difference['who'], got: object): Difference => ({ ...this.#place, packet, who, expected, got })
    if (seen.allowed !== expected.allowed) return report('datapath', seen)
    if (expected.established) return undefined
    const engine = this.#engineDecides(packet)
    if (engine.allowed !== expected.allowed || engine.audits.join() !== expected.audits.join() || engine.rule !== expected.rule) return report('engine', engine)
    return agreesOnEvents(seen, engine) ? undefined : report('datapath', { engine, seen })
  }

  #count(packet: Packet, expected: Expected, seen: Seen): void {
    this.#coverage.add(packet, expected, this.#scenario.policies)
    this.#coverage.addWritten(this.#scenario.constructs.get(expected.rule) ?? [])
    if (this.#passed) this.#coverage.count('pass')
    if (!expected.established) return
    if (expected.allowed) this.#coverage.count('established')
    else if (seen.event?.kind === EventKind.REVOKED) this.#coverage.count('revoked')
  }

  #query({ from, to, protocol, port }: Packet): { from: Uint8Array; to: Uint8Array; protocol: number; port: number } {
    return { from: addressOf(from), to: addressOf(to), protocol, port }
  }

  #engineDecides(packet: Packet): Decided {
    return decided(this.#engine.verdict(this.#query(packet)))
  }

  #model(packet: Packet): Decided {
    const { world, addresses, endpoints, policies } = this.#scenario
    const flat = { identities: world.identities, addresses: [...addresses.values()], endpoints: [...endpoints.values()], policies }
    const verdict = modelVerdict(flat, this.#query(packet))
    this.#passed = decidingSide(verdict)?.passed.length !== 0
    return decided(verdict)
  }
}

interface Sides<S> {
  readonly egress?: S
  readonly ingress?: S
}

function decided<S extends SideVerdict | ModelSide>({ decision, ...sides }: Sides<S> & { readonly decision: Decision }): Decided {
  const { egress, ingress } = sides
  // Who receives is not asked about what the sender's policy drops.
  const asked = egress?.decision === 'denied' ? [egress] : [egress, ingress]
  const audits = asked.flatMap((side) => (side?.decision === 'audited' ? [side.rule] : []))
  return { allowed: decision !== 'denied', rule: decidingSide(sides)?.rule ?? 0, audits }
}

/** The one that denies, or else the receiver's. */
function decidingSide<S extends SideVerdict | ModelSide>({ egress, ingress }: Sides<S>): S | undefined {
  return egress !== undefined && (ingress === undefined || egress.decision === 'denied') ? egress : ingress
}

/** A packet that opens a flow, or is dropped by policy, causes an event that names the rule; others tell nothing. */
function agreesOnEvents({ event, audits }: Seen, engine: Decided): boolean {
  return event === undefined || (event.rule === engine.rule && audits.join() === engine.audits.join())
}
