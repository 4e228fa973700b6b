// The records that C, AssemblyScript and TypeScript share, as TypeScript sees them.

export * from './layout.generated.ts'
export { enumName, RecordLayout } from './record.ts'
export type { Field, FieldKind, MapSpec } from './record.ts'
