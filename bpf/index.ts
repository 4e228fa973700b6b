// The records that C, AssemblyScript and TypeScript share, as TypeScript sees them.

export * from './layout.generated.ts'
export { enumName, RecordLayout } from './record.ts'
export type { Field, FieldKind, MapSpec } from './record.ts'

/** The fields of a service whose table does not change its size, and that tracks only what changes hands. */
export const steadyService = { flags: 0, formerBase: 0, formerCount: 0, learned: 0, idle: 0, vni: 0 } as const

/** The fields of a backend that takes new flows. */
export const activeBackend = { state: 0, drained: 0 } as const
