// What the two threads of the agent say to each other. The main thread answers the API and reads flows; the worker
// does all that may take long: sources, convergence, the engine, the store, and every write to the kernel.
import type { ApplyResult, DeleteResult, DocumentName, Explanation, ManifestText } from '../api/types.ts'
import type { RunOptions } from '../options.ts'
import type { ConntrackReport } from '../reconcilers/conntrack.ts'
import type { FlowReport } from '../reconcilers/flow-table.ts'
import type { EngineStatistics } from '../reconcilers/ports.ts'
import type { ReconcilerState } from '../reconcilers/reconciler.ts'
import type { Parts } from '../status.ts'
import type { TableChange } from '../tables.ts'

/** What the main thread asks for. Arguments and answers can be cloned. */
export interface ControlPlane {
  /** Resolves when the store is open and the first state is published; rejects what keeps an agent from running at all. */
  start(options: RunOptions): Promise<void>
  /** Resolves when the datapath holds the change and the main thread has the tables that show it; so do deletions. */
  apply(files: readonly ManifestText[]): Promise<ApplyResult>
  deleteAll(files: readonly ManifestText[]): Promise<DeleteResult>
  delete(name: DocumentName): Promise<DeleteResult>
  explain(request: { from: string; to: string; port: string }): Promise<Explanation>
  /** Leaves the datapath as it is. */
  stop(): Promise<void>
}

/** All but the tables that the main thread answers from, so that it never has to wait for the worker. */
export interface PublishedState {
  readonly parts: Parts
  readonly reconcilers: readonly ReconcilerState[]
  /** Undefined until the datapath is loaded. */
  readonly statistics: EngineStatistics | undefined
  readonly conntrack: ConntrackReport | undefined
  /** The balancer's. */
  readonly flows: FlowReport | undefined
}

/** Acknowledged by the main thread before the next one is sent, so that it has a turn of its loop between them. */
export interface Publication {
  readonly changes: readonly TableChange[]
  /** Only with the last changes: a state speaks of the tables that belong to it. */
  readonly state?: PublishedState
}

export type ControlMethod = keyof ControlPlane

export interface Request {
  readonly id: number
  readonly method: ControlMethod
  readonly argument: unknown
}

export type ToWorker = Request | { readonly acknowledged: true }

/** Errors lose their class on the way, not their code. */
export interface RemoteFault {
  readonly message: string
  readonly code: string | undefined
  readonly hint: string | undefined
  /** Of a refused manifest. */
  readonly details: unknown
  readonly cause: string | undefined
  readonly stack: string | undefined
}

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly fault: RemoteFault }

export type FromWorker = Reply | { readonly publication: Publication }
