// One parsed document: where each of its values stands in the file, and a place to report faults to.
import { isAlias, isMap, isScalar, isSeq, type Document as YamlDocument, type LineCounter, type Node } from 'yaml'
import { ManifestError, type ManifestErrorCode, type Path } from './errors.ts'

/** More would hide the first ones, and a hostile file could make millions. */
const ERROR_LIMIT = 100

/** Values visited in one file: a hundred times the largest file seen, and the bound for aliases of aliases. */
const VISIT_LIMIT = 2_000_000

/** What one file may use up; documents of the file share it. */
export class Budget {
  visits = 0
  readonly errors: ManifestError[] = []

  get exhausted(): boolean {
    return this.visits > VISIT_LIMIT || this.errors.length >= ERROR_LIMIT
  }
}

export class Source {
  readonly file: string
  readonly budget: Budget
  readonly #document: YamlDocument.Parsed
  readonly #lines: LineCounter
  readonly #root: Path

  /** `root` is the path of the resource inside its document: empty, or an item of a `List`. */
  constructor(file: string, document: YamlDocument.Parsed, lines: LineCounter, budget: Budget, root: Path = []) {
    this.file = file
    this.budget = budget
    this.#document = document
    this.#lines = lines
    this.#root = root
  }

  /** The same document, seen from one of its values. */
  below(path: Path): Source {
    return new Source(this.file, this.#document, this.#lines, this.budget, [...this.#root, ...path])
  }

  get node(): Node | null {
    return this.nodeAt([])
  }

  /** What an alias stands for; any other node is itself. */
  resolve(node: unknown): Node | null {
    if (isAlias(node)) return node.resolve(this.#document) ?? null
    return (node ?? null) as Node | null
  }

  /** The node at `path`; null where there is none. */
  nodeAt(path: Path): Node | null {
    let node = this.resolve(this.#document.contents)
    for (const step of [...this.#root, ...path]) node = this.#child(node, step)
    return node
  }

  #child(node: Node | null, step: string | number): Node | null {
    if (isMap(node)) return this.resolve(node.items.find((pair) => isScalar(pair.key) && pair.key.value === step)?.value)
    if (isSeq(node)) return this.resolve(node.items[Number(step)])
    return null
  }

  /** The nearest place that exists: a missing field is looked for where its object stands. */
  #place(path: Path): { line: number; column: number } {
    const parent = path.slice(0, -1)
    const step = path.at(-1)
    const holder = this.nodeAt(parent)
    const pair = isMap(holder) ? holder.items.find(({ key }) => isScalar(key) && key.value === step) : undefined
    const node = isScalar(pair?.key) ? pair.key : this.nodeAt(path)
    if (node?.range) return this.position(node.range[0])
    return path.length === 0 ? this.position(this.#document.range[0]) : this.#place(parent)
  }

  position(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset)
    return { line, column: col }
  }

  get line(): number {
    return this.#place([]).line
  }

  report(code: ManifestErrorCode, path: Path, problem: string, allowed?: string): void {
    if (this.budget.exhausted) return
    const full = [...this.#root, ...path]
    const fault = { code, file: this.file, ...this.#place(path), path: full, problem }
    this.budget.errors.push(new ManifestError(allowed === undefined ? fault : { ...fault, allowed }))
  }
}
