// What this kernel can do, found out by trying.

import { systemLibbpf } from './libbpf.ts'
import type { Libbpf } from './port.ts'

/** `inconclusive`: the trial itself failed, for want of privilege say; it tells nothing of the kernel. */
export type ProbeAnswer = 'supported' | 'unsupported' | 'inconclusive'

export interface Probe {
  readonly feature: string
  /** First mainline version that has it. */
  readonly since: string
  readonly answer: ProbeAnswer
}

interface Trial {
  readonly feature: string
  readonly since: string
  readonly run: (libbpf: Libbpf) => number
}

// enum bpf_prog_type, bpf_map_type and bpf_func_id of linux/bpf.h.
const PROGRAM = { SCHED_CLS: 3, XDP: 6, CGROUP_SOCK_ADDR: 18 } as const
const MAP = { LRU_HASH: 9, LPM_TRIE: 11, RINGBUF: 27 } as const
const HELPER = { FIB_LOOKUP: 69, REDIRECT_PEER: 155, REDIRECT_NEIGH: 152, KTIME_GET_COARSE_NS: 160, XDP_ADJUST_HEAD: 44 } as const

const TRIALS: readonly Trial[] = [
  { feature: 'tc programs', since: '4.1', run: (libbpf) => libbpf.probeProgramType(PROGRAM.SCHED_CLS) },
  { feature: 'XDP programs', since: '4.8', run: (libbpf) => libbpf.probeProgramType(PROGRAM.XDP) },
  { feature: 'cgroup socket programs', since: '4.17', run: (libbpf) => libbpf.probeProgramType(PROGRAM.CGROUP_SOCK_ADDR) },
  { feature: 'LRU hash maps', since: '4.10', run: (libbpf) => libbpf.probeMapType(MAP.LRU_HASH) },
  { feature: 'LPM tries', since: '4.11', run: (libbpf) => libbpf.probeMapType(MAP.LPM_TRIE) },
  { feature: 'ring buffers', since: '5.8', run: (libbpf) => libbpf.probeMapType(MAP.RINGBUF) },
  { feature: 'bpf_fib_lookup', since: '4.18', run: (libbpf) => libbpf.probeHelper(PROGRAM.SCHED_CLS, HELPER.FIB_LOOKUP) },
  { feature: 'bpf_redirect_peer', since: '5.10', run: (libbpf) => libbpf.probeHelper(PROGRAM.SCHED_CLS, HELPER.REDIRECT_PEER) },
  { feature: 'bpf_redirect_neigh', since: '5.10', run: (libbpf) => libbpf.probeHelper(PROGRAM.SCHED_CLS, HELPER.REDIRECT_NEIGH) },
  { feature: 'bpf_ktime_get_coarse_ns', since: '5.11', run: (libbpf) => libbpf.probeHelper(PROGRAM.SCHED_CLS, HELPER.KTIME_GET_COARSE_NS) },
  { feature: 'bpf_xdp_adjust_head', since: '4.10', run: (libbpf) => libbpf.probeHelper(PROGRAM.XDP, HELPER.XDP_ADJUST_HEAD) }
]

/** Every feature that the datapath relies on. */
export function probeFeatures(libbpf = systemLibbpf()): Probe[] {
  return TRIALS.map(({ feature, since, run }) => ({ feature, since, answer: answerOf(run(libbpf)) }))
}

/** libbpf answers 1, 0 or a negative errno. */
function answerOf(result: number): ProbeAnswer {
  if (result < 0) return 'inconclusive'
  return result > 0 ? 'supported' : 'unsupported'
}
