// Every fault in a manifest, with the place that an operator has to look at.

export type ManifestErrorCode =
  | 'SYNTAX' // no YAML or JSON
  | 'LIMIT' // too big, too deep, too many aliases
  | 'UNKNOWN_KIND'
  | 'UNKNOWN_FIELD'
  | 'MISSING_FIELD'
  | 'INVALID' // a value that its field does not take
  | 'UNSUPPORTED' // correct elsewhere, not enforced here, so it is refused
  | 'CONFLICT' // contradicts another document
  | 'UNREADABLE' // the file itself

/** Steps from the document's root: field names and list indexes. */
export type Path = readonly (string | number)[]

export interface ManifestFault {
  readonly code: ManifestErrorCode
  readonly file: string
  /** From 1; 0 where the fault is the whole file's. */
  readonly line: number
  readonly column: number
  readonly path: Path
  /** What is wrong, without a trailing period. */
  readonly problem: string
  /** What is allowed at that place. */
  readonly allowed?: string
}

export class ManifestError extends Error {
  readonly code: ManifestErrorCode
  readonly file: string
  readonly line: number
  readonly column: number
  /** As text: `spec.ingress[0].from`. */
  readonly path: string
  readonly problem: string
  readonly allowed: string | undefined

  constructor(fault: ManifestFault, options?: ErrorOptions) {
    super(formatFault(fault), options)
    this.name = 'ManifestError'
    this.code = fault.code
    this.file = fault.file
    this.line = fault.line
    this.column = fault.column
    this.path = formatPath(fault.path)
    this.problem = fault.problem
    this.allowed = fault.allowed
  }
}

export function formatPath(path: Path): string {
  return path
    .map((step, depth) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^[\w-]+$/.test(step)) return `[${JSON.stringify(step)}]`
      return depth === 0 ? step : `.${step}`
    })
    .join('')
}

function formatFault(fault: ManifestFault): string {
  const place = fault.line === 0 ? fault.file : `${fault.file}:${fault.line}:${fault.column}`
  const path = fault.path.length === 0 ? '' : ` ${formatPath(fault.path)}:`
  const allowed = fault.allowed === undefined ? '' : `; allowed: ${fault.allowed}`
  return `${place}:${path} ${fault.problem}${allowed}`
}
