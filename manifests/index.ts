// Manifests -> the cluster they describe. Everything but `loadFiles` (manifests/load.ts) runs in a browser too.
export { compile, counter, type NumberOf } from './compile.ts'
export { ManifestError, type ManifestErrorCode } from './errors.ts'
export { KIND_NAMES } from './kinds.ts'
export type * from './model.ts'
export { parseDocuments, type ParsedFile } from './parse.ts'
export { PROTOCOLS, protocolName, type ProtocolName } from './ports.ts'
export { formatRule } from './references.ts'
export type { Document, Resource } from './resources.ts'
