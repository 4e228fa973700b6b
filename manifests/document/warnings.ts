// What a correct manifest asks for and does not get: never a fault, and never silent.

export type WarningCode =
  | 'NO_DNS_POLICY' // peers by DNS name
  | 'NO_PROXY' // rules above TCP and UDP
  | 'NO_AUTHENTICATION' // mutual authentication
  | 'NO_CLOUD_SOURCE' // groups of a cloud provider
  | 'UNRESOLVED' // names a document that is not there

export interface ManifestWarning {
  readonly code: WarningCode
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly column: number
  /** As text: `spec.egress[0].toFQDNs`. */
  readonly path: string
  /** What is missing, without a trailing period. */
  readonly problem: string
  /** What that means for traffic. */
  readonly effect: string
}

export function formatWarning({ file, line, column, path, problem, effect }: ManifestWarning): string {
  return `${file}:${line}:${column}: ${path}: ${problem}; ${effect}`
}
