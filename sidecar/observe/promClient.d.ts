// The registry by itself: prom-client's index also loads the cluster module, which no pod needs.
declare module 'prom-client/lib/registry.js' {
  import { Registry } from 'prom-client'
  export default Registry
}
