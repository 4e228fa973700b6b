// Kernel access: everything that other folders may use of the loader.

export { Btf, parseBtf, readBtf } from './btf.ts'
export type { BtfEnumerator, BtfKind, BtfMember, BtfOf, BtfType } from './btf.ts'
export { LoaderError } from './errors.ts'
export type { LoaderErrorCode } from './errors.ts'
export { readMapSpecs } from './spec.ts'
export type { ObjectMapSpec } from './spec.ts'
