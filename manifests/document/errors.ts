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
  /** The document that it contradicts. */
  readonly other?: Place
}

/** A file, and what to look at in it where that is known. */
export interface Place {
  readonly file: string
  readonly line?: number
  readonly column?: number
}

/** A fault as data: what the API answers and `formatDetail` puts into words. */
export interface FaultDetail extends Place {
  /** As text: `spec.ingress[0].from`. */
  readonly path?: string
  readonly message: string
  readonly other?: Place
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
  readonly detail: FaultDetail

  constructor(fault: ManifestFault, options?: ErrorOptions) {
    const detail = detailOf(fault)
    super(formatDetail(detail), options)
    this.name = 'ManifestError'
    this.code = fault.code
    this.file = fault.file
    this.line = fault.line
    this.column = fault.column
    this.path = formatPath(fault.path)
    this.problem = fault.problem
    this.allowed = fault.allowed
    this.detail = detail
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

function detailOf({ file, line, column, path, problem, allowed, other }: ManifestFault): FaultDetail {
  return {
    file,
    ...(line > 0 && { line, column }),
    ...(path.length > 0 && { path: formatPath(path) }),
    message: allowed === undefined ? problem : `${problem}; allowed: ${allowed}`,
    ...(other && { other }),
  }
}

/** `web.yaml:7:5: spec.ingress[0].form: unknown field; allowed: from, ports` */
export function formatDetail({ path, message, other, ...place }: FaultDetail): string {
  const parts = [formatPlace(place), ...(path === undefined ? [] : [path]), message]
  return `${parts.join(': ')}${other === undefined ? '' : `; the other: ${formatPlace(other)}`}`
}

function formatPlace({ file, line, column }: Place): string {
  return [file, line, column].filter((part) => part !== undefined).join(':')
}
