import { request } from 'node:http'
import { json, text } from 'node:stream/consumers'
import type { Status } from '../agent/api/index.ts'
import type { Service } from './service.ts'

/** The API answered with an error: its status and what it said. */
export class ApiFailure extends Error {
  readonly code = 'API'
  readonly status: number

  constructor(method: string, path: string, status: number, body: string) {
    super(`${method} ${path} was answered with ${status}: ${body}`)
    this.status = status
  }
}

/** An agent of a lab's node, and its API. */
export class Agent implements AsyncDisposable {
  readonly service: Service
  readonly socket: string

  constructor(service: Service, socket: string) {
    this.service = service
    this.socket = socket
  }

  get<T>(path: string): Promise<T> {
    return this.#call('GET', path) as Promise<T>
  }

  /** Answers of JSON lines, such as /v1/flows. */
  async lines<T>(path: string): Promise<T[]> {
    const body = await this.#send('GET', path, undefined, text)
    return body.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as T)
  }

  /** Applies documents, all or none; resolves when the datapath holds them. */
  async apply(...documents: readonly object[]): Promise<void> {
    await this.#call('PUT', '/v1/manifests', documents.map((document) => JSON.stringify(document)).join('\n---\n'))
  }

  async deletePolicy(kind: string, namespace: string, name: string): Promise<void> {
    await this.#call('DELETE', `/v1/policies/${kind}/${namespace || '_'}/${name}`)
  }

  /** Waits until the API answers and every source has been programmed; degraded parts do not hinder. */
  async waitUntilReady(signal?: AbortSignal): Promise<Status> {
    let status: Status | undefined
    const ready = async () => {
      status = await this.#statusOrNothing()
      return status !== undefined && Object.values(status.parts).every((part) => part.state !== 'starting')
    }
    await this.service.waitUntil(ready, signal)
    return status as Status
  }

  async #statusOrNothing(): Promise<Status | undefined> {
    try {
      return await this.get<Status>('/v1/status')
    } catch (error) {
      const notYet = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code ?? '')
      if (notYet || (error instanceof ApiFailure && error.status === 503)) return undefined
      throw error
    }
  }

  #call(method: string, path: string, body?: string): Promise<unknown> {
    return this.#send(method, path, body, json)
  }

  #send<T>(method: string, path: string, body: string | undefined, read: (answer: NodeJS.ReadableStream) => Promise<T>) {
    const headers = body === undefined ? {} : { 'content-type': 'application/yaml' }
    return new Promise<T>((resolve, reject) => {
      const sent = request({ socketPath: this.socket, method, path, headers, agent: false }, (answer) => {
        const status = answer.statusCode ?? 0
        if (status < 400) read(answer).then(resolve, reject)
        else text(answer).then((said) => reject(new ApiFailure(method, path, status, said)), reject)
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  /** Ends the agent; what it pinned stays until the lab is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.service[Symbol.asyncDispose]()
  }
}
