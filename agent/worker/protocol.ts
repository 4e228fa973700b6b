// What the main thread asks of the worker thread that owns the engine and all writes to the kernel.
import type { Verdict } from '../../engine/types.ts'
import type { MapItem } from '../api/types.ts'
import type { RunOptions } from '../options.ts'
import type { ConntrackReport } from '../reconcilers/conntrack.ts'
import type { InputChange } from '../reconcilers/inputs.ts'
import type { ApplyReport } from '../reconcilers/policy.ts'
import type { EngineStatistics, VerdictQuery } from '../reconcilers/ports.ts'
import type { Attachment, ProgramReport } from '../reconcilers/programs.ts'
import type { FrontendSpec, ServiceReport } from '../reconcilers/services.ts'

export interface KernelOptions extends Pick<RunOptions, 'bpffs' | 'bpfObjects' | 'mapSizes' | 'xdpMode'> {
  /** Outer sources of the balancer's packets: addresses of the uplink, one of a family at most. */
  readonly encapsulationSources: readonly string[]
}

export interface KernelStart {
  /** Endpoints that an earlier agent left in the pinned maps. */
  readonly takenOver: number
  readonly maps: readonly MapItem[]
  /** Programs that could not be loaded; those of an earlier agent stay attached. */
  readonly refused: readonly { readonly object: string; readonly code: string | undefined; readonly message: string }[]
}

/** Every method takes one argument that can be cloned, and answers in the order of the calls. */
export interface Kernel {
  start(options: KernelOptions): Promise<KernelStart>
  /** Policy, identities, addresses, endpoints: one atomic change. Rejects what the engine refuses; nothing changed then. */
  applyPolicy(request: { changes: readonly InputChange[]; finishRestore: boolean }): Promise<ApplyReport>
  reconcileServices(frontends: readonly FrontendSpec[]): Promise<ServiceReport>
  reconcilePrograms(request: { wanted: readonly Attachment[]; complete: boolean }): Promise<ProgramReport>
  /** Some batches of collection. */
  collectConntrack(): Promise<ConntrackReport>
  verdict(query: VerdictQuery): Promise<Verdict>
  statistics(): Promise<EngineStatistics>
}

export type KernelMethod = keyof Kernel

export interface Request {
  readonly id: number
  readonly method: KernelMethod
  readonly argument: unknown
}

/** Errors lose their class on the way, not their code. */
export interface RemoteFault {
  readonly name: string
  readonly message: string
  readonly code: string | undefined
  readonly hint: string | undefined
  readonly stack: string | undefined
}

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly fault: RemoteFault }
