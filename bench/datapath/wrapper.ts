// The wrapper program, specialised to one packet and a set of flows; see bench/wrapper.bpf.c.

import { BpfObject } from '../../loader/index.ts'
import type { Program } from '../../loader/index.ts'

export type Hook = 'tc' | 'xdp'

/** Which packet, and how a flow's number stands in it. */
export interface Traffic {
  readonly packet: Uint8Array
  readonly lowOffset: number
  readonly lowBase: number
  /** How many values the low field takes; 16384 by default. */
  readonly lowValues?: number
  readonly highOffset: number
  readonly highBase: number
  readonly firstFlow: number
  readonly flows: number
  readonly order: 'sequential' | 'random'
}

const PATH = 'build/bench/wrapper.bpf.o'
const PACKET_BYTES = 128
const SLOT = new Uint8Array(4)
/** What the wrapper itself returns when it could not build the packet or call the program. */
const FAILED = 0xffffffff

export class Wrapper implements Disposable {
  readonly #object: BpfObject
  readonly #hook: Hook
  readonly #packet: Uint8Array
  readonly #context: Uint8Array

  /** `ifindex` of the interface whose hook the program believes to be at, in the calling thread's namespace. */
  constructor(hook: Hook, traffic: Traffic, ifindex: number) {
    const packet = new Uint8Array(PACKET_BYTES)
    packet.set(traffic.packet)
    const constants = {
      packet,
      packet_words: traffic.packet.length / 8,
      first_flow: traffic.firstFlow,
      flows: traffic.flows,
      in_order: traffic.order === 'sequential',
      low_offset: traffic.lowOffset,
      low_base: traffic.lowBase,
      low_values: traffic.lowValues ?? 16_384,
      high_offset: traffic.highOffset,
      high_base: traffic.highBase
    }
    this.#object = BpfObject.open(PATH, { constants, programs: [`wrap_${hook}`, `nothing_${hook}`] }).load()
    this.#hook = hook
    this.#packet = traffic.packet
    this.#context = hook === 'tc' ? skbContext(ifindex) : xdpContext(traffic.packet.length, ifindex)
  }

  /** Nanoseconds a packet, the wrapper's own included. Throws if the wrapper fails or the result is another. */
  run(program: Program, repeat: number, expectedResult: number): number {
    this.#object.map(`${this.#hook}_target`).update(SLOT, new Uint8Array(Uint32Array.of(program.fd).buffer))
    const wrapper = this.#object.program(`wrap_${this.#hook}`)
    const { result, durationNs } = wrapper.testRun({ data: this.#packet, context: this.#context, repeat })
    if (result === FAILED) throw new Error(`the wrapper could not run ${program.name}`)
    if (result !== expectedResult) throw new Error(`${program.name} returned ${result}, expected was ${expectedResult}`)
    return durationNs
  }

  get nothing(): Program {
    return this.#object.program(`nothing_${this.#hook}`)
  }

  [Symbol.dispose](): void {
    this.#object[Symbol.dispose]()
  }
}

const SK_BUFF_SIZE = 192
const SK_BUFF_IFINDEX = 40

/** struct __sk_buff: the kernel takes the interface from it, and wants zero in what it does not take. */
function skbContext(ifindex: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(SK_BUFF_SIZE))
  view.setUint32(SK_BUFF_IFINDEX, ifindex, true)
  return new Uint8Array(view.buffer)
}

/** struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex. */
function xdpContext(length: number, ifindex: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(0, length, 0, ifindex, 0, 0).buffer)
}
