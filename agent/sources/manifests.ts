// All manifests together: files of the watched folders and what came through the API. Of a file with a fault its last
// good version holds; the others hold as they are. A change costs what it touches.
import { setImmediate } from 'node:timers/promises'
import { Claims, type Document, type DocumentChange, type ManifestError, parseDocuments } from '../../manifests/index.ts'
import type { ApiErrorDetail } from '../api/types.ts'
import type { FileContent } from './folder.ts'

/** What became of an origin: a file, or an applied document under a name that is no path. */
export interface OriginChange {
  readonly name: string
  /** Undefined: it is gone. */
  readonly content: FileContent | undefined
}

export interface Problem {
  readonly name: string
  readonly details: readonly ApiErrorDetail[]
  /** Whether its last good version is enforced instead; otherwise nothing of it is. */
  readonly lastGood: boolean
}

/** The text that holds of an origin; undefined where nothing does. */
export interface EffectiveText {
  readonly name: string
  readonly text: string | undefined
}

/** What this node cannot do of a document that is right in itself. */
export type Refuse = (document: Document) => readonly ManifestError[]

/** A text and what it says: documents, or faults. */
interface Version {
  readonly text: string
  readonly documents: readonly Document[]
  readonly details: readonly ApiErrorDetail[]
}

interface Origin {
  readonly name: string
  readonly content: FileContent
  /** Of its content, once it was read. */
  readonly newest: Version | undefined
  /** What holds of it. */
  readonly effective: Version | undefined
  /** Why that is not its content. */
  readonly details: readonly ApiErrorDetail[]
  /** It has no fault but that it contradicts others, who may go. */
  readonly contested: boolean
}

/** By name: what the content of an origin contradicts, so that its last good text is to hold. */
type Fallen = Map<string, readonly ApiErrorDetail[]>

export class Manifests {
  readonly #refuse: Refuse
  readonly #origins = new Map<string, Origin>()
  readonly #claims = new Claims()
  /** Of each origin, also of those that are still to come: its text when it was enforced last. */
  readonly #lastGood: Map<string, string>
  readonly #parsed = new Map<string, Version>()
  readonly #faulty = new Set<string>()
  /** Origins that may hold another text than their last good one. */
  readonly #unsettled = new Set<string>()

  constructor(lastGood: ReadonlyMap<string, string>, refuse: Refuse = () => []) {
    this.#lastGood = new Map(lastGood)
    this.#refuse = refuse
  }

  contentOf(name: string): FileContent | undefined {
    return this.#origins.get(name)?.content
  }

  get problems(): readonly Problem[] {
    return this.#faultyOrigins().map(({ name, details, effective }) => ({ name, details, lastGood: effective !== undefined }))
  }

  /** How many origins hold, be it by their last good version. */
  get effectiveCount(): number {
    return this.#origins.size - this.#faultyOrigins().filter(({ effective }) => effective === undefined).length
  }

  /** Parses new texts, one a turn of the event loop: YAML takes a third of a millisecond a document. */
  async warm(changes: readonly OriginChange[]): Promise<void> {
    for (const { name, content } of changes) {
      if (content === undefined || 'error' in content) continue
      this.#parsed.set(name, this.#versionOf(name, content.text))
      await setImmediate()
    }
  }

  /**
   * Of those that contradict each other the one holds that was enforced before, so that the newcomer is refused, and
   * gets its turn when what it contradicts goes.
   */
  change(changes: readonly OriginChange[]): DocumentChange {
    const touched = new Set([...changes.map(({ name }) => name), ...this.#contested()])
    const removed = [...touched].flatMap((name) => this.#withdraw(name))
    for (const { name, content } of changes) this.#set(name, content)
    const added = this.#placeAll([...touched].flatMap((name) => this.#origins.get(name) ?? []))
    for (const { name } of changes) this.#parsed.delete(name)
    return difference(removed, added)
  }

  /** What leads back from `changes` to what holds now. */
  inverse(changes: readonly OriginChange[]): readonly OriginChange[] {
    return changes.map(({ name }) => ({ name, content: this.#origins.get(name)?.content }))
  }

  /** What holds of the origins that changed since the last call. */
  takeUnsettled(): readonly EffectiveText[] {
    const names = [...this.#unsettled]
    this.#unsettled.clear()
    return names.map((name) => ({ name, text: this.#origins.get(name)?.effective?.text }))
  }

  /** The datapath holds these texts: from now on they are the last good ones. Returns those that are new as such. */
  settle(texts: readonly EffectiveText[]): readonly EffectiveText[] {
    const news = texts.filter(({ name, text }) => this.#lastGood.get(name) !== text)
    for (const { name, text } of news) {
      if (text === undefined) this.#lastGood.delete(name)
      else this.#lastGood.set(name, text)
    }
    return news
  }

  #faultyOrigins(): readonly Origin[] {
    return [...this.#faulty].flatMap((name) => this.#origins.get(name) ?? [])
  }

  #contested(): readonly string[] {
    return this.#faultyOrigins().filter(({ contested }) => contested).map(({ name }) => name)
  }

  #withdraw(name: string): readonly Document[] {
    const documents = this.#origins.get(name)?.effective?.documents ?? []
    for (const document of documents) this.#claims.remove(document)
    return documents
  }

  #set(name: string, content: FileContent | undefined): void {
    const { newest, effective } = this.#origins.get(name) ?? { newest: undefined, effective: undefined }
    this.#origins.delete(name)
    this.#faulty.delete(name)
    if (content !== undefined) this.#origins.set(name, { name, content, newest, effective, details: [], contested: false })
    this.#unsettled.add(name)
  }

  /**
   * Whoever falls back to its last good text has its place before newcomers, who may have taken what that text has: then
   * all begin anew, and each time one more has fallen.
   */
  #placeAll(origins: readonly Origin[]): readonly Document[] {
    const fallen: Fallen = new Map()
    for (;;) {
      const before = fallen.size
      const isNew = new Map(origins.map((origin) => [origin.name, this.#isNew(origin, fallen)]))
      const inOrder = origins.toSorted((a, b) => Number(isNew.get(a.name)) - Number(isNew.get(b.name)) || (a.name < b.name ? -1 : 1))
      const added = inOrder.flatMap((origin) => this.#place(origin, fallen))
      if (fallen.size === before) return added
      for (const { name } of origins) this.#withdraw(name)
    }
  }

  /** Whether what is to hold of it was not enforced before. */
  #isNew(origin: Origin, fallen: Fallen): boolean {
    const lastGood = this.#lastGood.get(origin.name)
    const { text, details } = this.#newest(origin)
    return lastGood === undefined || (text !== lastGood && details.length === 0 && !fallen.has(origin.name))
  }

  /** The new text, or the last good one, or nothing. Returns what holds. */
  #place(origin: Origin, fallen: Fallen): readonly Document[] {
    const { name, content } = origin
    const newest = this.#newest(origin)
    const details = [...(fallen.get(name) ?? (newest.details.length > 0 ? newest.details : this.#admit(newest.documents)))]
    if (details.length > 0 && newest.details.length === 0 && this.#otherText(name, newest) !== undefined) fallen.set(name, [...details])
    const held = details.length === 0 ? newest : this.#placeLastGood(name, newest, details)
    this.#origins.set(name, { name, content, newest, effective: held, details, contested: details.length > 0 && newest.details.length === 0 })
    if (details.length > 0) this.#faulty.add(name)
    else this.#faulty.delete(name)
    this.#unsettled.add(name)
    return held?.documents ?? []
  }

  #newest(origin: Origin): Version {
    const { name, content } = origin
    if ('error' in content) return { text: '', documents: [], details: [{ file: name, message: content.error }] }
    const version = this.#versionOf(name, content.text)
    const lastGood = this.#lastGood.get(name)
    // A file that was cut off must not take its policies away; whoever wants that deletes the file.
    const isEmptied = version.details.length === 0 && version.documents.length === 0 && lastGood !== undefined && this.#versionOf(name, lastGood).documents.length > 0
    return isEmptied ? { ...version, details: [emptied(name)] } : version
  }

  /** The last good text, where it is not the newest. */
  #otherText(name: string, newest: Version): string | undefined {
    const text = this.#lastGood.get(name)
    return text === newest.text ? undefined : text
  }

  #placeLastGood(name: string, newest: Version, details: ApiErrorDetail[]): Version | undefined {
    const text = this.#otherText(name, newest)
    if (text === undefined) return undefined
    const version = this.#versionOf(name, text)
    const faults = version.details.length > 0 ? version.details : this.#admit(version.documents)
    details.push(...faults)
    return faults.length === 0 ? version : undefined
  }

  /** All of the documents or none: why not. */
  #admit(documents: readonly Document[]): readonly ApiErrorDetail[] {
    const errors: ManifestError[] = []
    for (const document of documents) {
      const conflict = this.#claims.conflict(document)
      errors.push(...(conflict === undefined ? [] : [conflict]), ...this.#refuse(document))
      if (conflict === undefined) this.#claims.add(document)
    }
    if (errors.length > 0) for (const document of documents) this.#claims.remove(document)
    return errors.map(({ detail }) => detail)
  }

  /** Most texts are known already: parsing is most of the work. */
  #versionOf(name: string, text: string): Version {
    const origin = this.#origins.get(name)
    const known = [origin?.effective, origin?.newest, this.#parsed.get(name)].find((version) => version?.text === text)
    if (known !== undefined) return known
    const { documents, errors } = parseDocuments(text, name)
    return { text, documents, details: errors.map(({ detail }) => detail) }
  }
}

function emptied(file: string): ApiErrorDetail {
  return { file, message: 'the file holds no document any more; delete the file to take away what it held' }
}

/** Without what went and came back. */
function difference(removed: readonly Document[], added: readonly Document[]): DocumentChange {
  const [before, after] = [new Set(removed), new Set(added)]
  return { removed: removed.filter((document) => !after.has(document)), added: added.filter((document) => !before.has(document)) }
}
