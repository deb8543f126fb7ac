export { confine, type Confinement } from './confinement.ts'
