// What convergence needs of the datapath: worker/kernel.ts is the real one, tests have theirs in memory.
import type { SourceRanges } from '../manifests/index.ts'
import type { MapItem } from './api/types.ts'
import type { RunOptions } from './options.ts'
import type { InputChange } from './reconcilers/inputs.ts'
import type { ApplyReport } from './reconcilers/policy.ts'
import type { Attachment, ProgramReport } from './reconcilers/programs.ts'
import type { FrontendSpec, ServiceReport } from './reconcilers/services.ts'
import type { VlanDevice } from './vlan-devices.ts'

/** What programs know of the uplink. */
export interface UplinkOptions {
  /** 0: there is none. */
  readonly uplinkIfindex: number
  /** Frames to others are not balanced. Undefined: frames to anybody are. */
  readonly stationMac: string | undefined
  /** Outer sources of the balancer's packets: addresses of the uplink, one of a family at most. */
  readonly encapsulationSources: readonly string[]
  readonly vlanDevices: readonly VlanDevice[]
}

export type KernelOptions = UplinkOptions & Pick<RunOptions, 'bpffs' | 'bpfObjects' | 'mapSizes' | 'xdpMode' | 'allowHost' | 'reportFlows'>

export interface KernelStart {
  /** Endpoints that an earlier agent left in the pinned maps. */
  readonly takenOver: number
  readonly maps: readonly MapItem[]
  readonly refused: readonly RefusedObject[]
}

/** It could not be loaded; programs that it gave earlier, or to an earlier agent, stay attached. */
export interface RefusedObject {
  /** Name of the file. */
  readonly object: string
  readonly message: string
}

export interface Kernel {
  /** Idempotent: once it succeeded, it loads only what was refused, and what other options make another program. */
  start(options: KernelOptions): Promise<KernelStart>
  /** Policy, identities, addresses, endpoints: one atomic change. Rejects what the engine refuses; nothing changed then. */
  applyPolicy(request: { changes: readonly InputChange[]; finishRestore: boolean }): Promise<ApplyReport>
  /** `prefilter`: senders that nothing is taken from, whatever it is for. */
  reconcileServices(request: { frontends: readonly FrontendSpec[]; prefilter: SourceRanges }): Promise<ServiceReport>
  reconcilePrograms(request: { wanted: readonly Attachment[]; complete: boolean }): Promise<ProgramReport>
}
