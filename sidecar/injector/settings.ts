import type { Profile } from './profile.ts'

/** What injection is done with, the same for every pod; only the functions may answer otherwise from one review to the next. */
export interface InjectorSettings {
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  /** Secrets of the pod's own namespace that the image is pulled with; added to those of the pod. */
  readonly imagePullSecrets?: readonly string[]
  /** Pods of this namespace are never touched: the injector itself is one of them. */
  readonly releaseNamespace: string
  /** By the name that `outrider.dev/profile` says; a pod that says none gets `default`. */
  readonly profiles: () => ReadonlyMap<string, Profile>
  /** Whether the cluster is new enough for `mode: auto` to mean native (API server 1.33 or newer); undefined while that is not known. */
  readonly nativeSidecars: () => boolean | undefined
  /** The minor version of the API server, where it is known: `mode: native` asked for by name works from 29 on. */
  readonly serverMinor?: () => number | undefined
  /** The user of the sidecar; `none` where the platform gives each namespace its own range, as OpenShift does. */
  readonly runAsUser?: number | 'none'
}

/** Something that happened to a pod which nobody sees in the pod itself. */
export interface Happening {
  readonly kind: 'skipped' | 'warned'
  readonly namespace: string
  /** Who made the pod; the pod itself does not exist yet. */
  readonly owner: Owner
  /** In UpperCamelCase, as Events have it. */
  readonly reason: string
  readonly message: string
}

export interface Owner {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}
