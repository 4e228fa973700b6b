// One parsed document: where each of its values stands in the file, and a place to report faults to.
import { isAlias, isMap, isScalar, isSeq } from 'yaml'
import type { Alias, Document as YamlDocument, LineCounter, Node, Scalar } from 'yaml'
import type { Location } from '../model.ts'
import { formatPath, ManifestError, type ManifestErrorCode, type ManifestFault, type Path } from './errors.ts'
import { type DanglingAlias, type DuplicateKey, pathAt, pathOfAlias, pathOfKey } from './survey.ts'
import type { ManifestWarning, WarningCode } from './warnings.ts'

/** More would hide the first ones, and a hostile file could make millions. */
const ERROR_LIMIT = 100

/** Values visited in one file: a hundred times the largest file seen, and the bound for aliases of aliases. */
const VISIT_LIMIT = 2_000_000

/** What one file may use up; documents of the file share it. */
export class Budget {
  #visits = 0
  readonly errors: ManifestError[] = []

  /** Counts a value; `over` for the one that is too many. */
  visit(): 'within' | 'over' {
    return ++this.#visits > VISIT_LIMIT ? 'over' : 'within'
  }

  get exhausted(): boolean {
    return this.#visits > VISIT_LIMIT || this.errors.length >= ERROR_LIMIT
  }
}

export const TOO_LARGE = 'the document is too large, or its aliases expand without end'

/** A parsed document of a file. */
export interface Origin {
  readonly file: string
  readonly document: YamlDocument.Parsed
  readonly aliases: ReadonlyMap<Alias, Node>
  readonly lines: LineCounter
  readonly budget: Budget
  /** Of a document whose nodes have no places. */
  readonly unplaced?: Unplaced
}

export interface Unplaced {
  /** Where the document begins. */
  readonly start: { readonly line: number; readonly column: number }
  /** The same document, its nodes with places. */
  readonly place: () => Origin
}

export class Source {
  #origin: Origin
  readonly #root: Path
  /** Of this document, in the order of reading. */
  readonly warnings: ManifestWarning[] = []

  /** `root` is the path of the resource inside its document: empty, or an item of a `List`. */
  constructor(origin: Origin, root: Path = []) {
    this.#origin = origin
    this.#root = root
  }

  get file(): string {
    return this.#origin.file
  }

  get budget(): Budget {
    return this.#origin.budget
  }

  /** The same document, seen from one of its values. */
  below(path: Path): Source {
    return new Source(this.#origin, [...this.#root, ...path])
  }

  get node(): Node | null {
    return this.nodeAt([])
  }

  /** As plain data; aliases are bounded already. */
  get value(): unknown {
    return this.node?.toJS(this.#origin.document, { maxAliasCount: -1 })
  }

  /** What an alias stands for; any other node is itself. */
  resolve(node: unknown): Node | null {
    if (isAlias(node)) return this.#origin.aliases.get(node) ?? null
    return (node ?? null) as Node | null
  }

  /** The node at `path`; null where there is none. */
  nodeAt(path: Path): Node | null {
    let node = this.resolve(this.#origin.document.contents)
    for (const step of [...this.#root, ...path]) node = this.#child(node, step)
    return node
  }

  #child(node: Node | null, step: string | number): Node | null {
    if (isMap(node)) return this.resolve(node.items.find((pair) => isScalar(pair.key) && pair.key.value === step)?.value)
    if (isSeq(node)) return this.resolve(node.items[Number(step)])
    return null
  }

  /** Gives the same with the places of its nodes; undefined where it has them. */
  get placed(): (() => Source) | undefined {
    const { unplaced } = this.#origin
    return unplaced && (() => new Source(unplaced.place(), this.#root))
  }

  /** The nearest place that exists: a missing field is looked for where its object stands. */
  #place(path: Path): { line: number; column: number } {
    this.#origin = this.#origin.unplaced?.place() ?? this.#origin
    const parent = path.slice(0, -1)
    const step = path.at(-1)
    const holder = this.nodeAt(parent)
    const pair = isMap(holder) ? holder.items.find(({ key }) => isScalar(key) && key.value === step) : undefined
    const node = isScalar(pair?.key) ? pair.key : this.nodeAt(path)
    if (node?.range) return this.position(node.range[0])
    return path.length === 0 ? this.position(this.#origin.document.range[0]) : this.#place(parent)
  }

  position(offset: number): { line: number; column: number } {
    const { line, col } = this.#origin.lines.linePos(offset)
    return { line, column: col }
  }

  /** Of a document whose nodes have no places: where it begins, if the resource is all of it. */
  get start(): Location | undefined {
    const { unplaced } = this.#origin
    return unplaced === undefined || this.#root.length > 0 ? undefined : { file: this.file, ...unplaced.start }
  }

  /** Where the resource begins. */
  get location(): Location {
    return { file: this.file, ...this.#place([]) }
  }

  /** Where the fields at these paths stand, as far as they are there; by the path inside the resource. */
  places(paths: readonly Path[]): Readonly<Record<string, Location>> {
    const there = paths.filter((path) => this.nodeAt(path) !== null)
    return Object.fromEntries(there.map((path) => [formatPath(path), { file: this.file, ...this.#place(path) }]))
  }

  report(code: ManifestErrorCode, path: Path, problem: string, allowed?: string): void {
    if (this.budget.errors.length >= ERROR_LIMIT) return
    const full = [...this.#root, ...path]
    this.#add({ code, file: this.file, ...this.#place(path), path: full, problem, ...(allowed !== undefined && { allowed }) })
  }

  /** What has a place in the text, and at most a neighbour in the document. */
  reportAt(code: ManifestErrorCode, offset: number, problem: string): void {
    this.#add({ code, file: this.file, ...this.position(offset), path: pathAt(this.#origin.document, offset), problem })
  }

  reportDuplicate(duplicate: DuplicateKey): void {
    if (this.budget.exhausted) return
    const { key, first } = duplicate
    this.#add({ code: 'SYNTAX', ...this.#placeOf(key), path: pathOfKey(duplicate), problem: 'stands twice in its mapping', other: this.#placeOf(first) })
  }

  reportDangling(dangling: DanglingAlias): void {
    if (this.budget.exhausted) return
    const { alias } = dangling
    const problem = `there is no anchor &${alias.source} before alias *${alias.source}`
    this.#add({ code: 'SYNTAX', ...this.#placeOf(alias), path: pathOfAlias(dangling), problem })
  }

  #placeOf({ range }: Scalar | Alias): Location {
    return { file: this.file, ...this.position(range?.[0] ?? 0) }
  }

  #add(fault: ManifestFault): void {
    if (this.budget.errors.length < ERROR_LIMIT) this.budget.errors.push(new ManifestError(fault))
  }

  warn(code: WarningCode, path: Path, problem: string, effect: string): void {
    this.warnings.push({ code, ...this.locate(path), problem, effect })
  }

  /** Where a value stands, for what is found out later about it. */
  locate(path: Path): { file: string; line: number; column: number; path: string } {
    return { file: this.file, ...this.#place(path), path: formatPath([...this.#root, ...path]) }
  }
}
