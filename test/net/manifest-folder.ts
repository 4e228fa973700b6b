import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A folder of manifests, one file a document, replaced as an editor would: written aside and renamed. */
export class ManifestFolder {
  readonly path: string

  constructor(path: string) {
    mkdirSync(path, { recursive: true })
    this.path = path
  }

  write(name: string, document: object): void {
    const file = join(this.path, `${name}.json`)
    writeFileSync(`${file}.new`, JSON.stringify(document))
    renameSync(`${file}.new`, file)
  }

  remove(name: string): void {
    rmSync(join(this.path, `${name}.json`), { force: true })
  }
}
