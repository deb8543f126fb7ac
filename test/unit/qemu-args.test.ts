import { expect, test } from 'vitest'
import { qemuArgs, type MachineSpec } from '../../src/vmm/index.ts'

const spec: MachineSpec = {
  accelerator: 'kvm',
  memoryMib: 256,
  cpuCount: 2,
  cpuIds: [],
  cmdline: 'reboot=t panic=-1,on virtio_mmio.device=512@0xfeb00e00:12',
  serialPort: 'none',
  nsmCard: false,
}

function valueOf(args: readonly string[], flag: string): string | undefined {
  return args[args.indexOf(flag) + 1]
}

test('the kernel sees the command line byte for byte', () => {
  expect(valueOf(qemuArgs(spec), '-append')).toBe(spec.cmdline)
  expect(valueOf(qemuArgs(spec), '-machine')).toContain('auto-kernel-cmdline=off')
})

test('a machine of ours outside debug mode has one device and no serial port', () => {
  const args = qemuArgs(spec)
  expect(args.filter((arg) => arg === '-device')).toHaveLength(1)
  expect(valueOf(args, '-device')).toMatch(/^vhost-user-vsock-device,/)
  expect(args).not.toContain('-serial')
  expect(valueOf(args, '-machine')).toContain('isa-serial=off')
})

test('memory in huge pages is shared with the cards like any other', () => {
  expect(valueOf(qemuArgs({ ...spec, hugePages: true }), '-object')).toBe(
    'memory-backend-memfd,id=ram,size=256M,share=on,hugetlb=on,hugetlbsize=2M',
  )
})

test('the NSM card is the second device, as virtio device 33, over a descriptor of its own', () => {
  const args = qemuArgs({ ...spec, nsmCard: true })
  const devices = args.filter((_, index) => args[index - 1] === '-device')
  expect(devices).toEqual([
    'vhost-user-vsock-device,chardev=vsock',
    'vhost-user-test-device,chardev=nsm,virtio-id=33,num_vqs=1',
  ])
  expect(args).toContain('socket,id=nsm,fd=8')
})

test('a debug machine has a serial port', () => {
  const args = qemuArgs({ ...spec, serialPort: 'console' })
  expect(args).toContain('-serial')
  expect(args).toContain('socket,fd=7,id=console')
  expect(valueOf(args, '-machine')).toContain('isa-serial=on')
})

test('a serial port whose output is dropped has no descriptor of the enclave', () => {
  const args = qemuArgs({ ...spec, serialPort: 'dropped' })
  expect(args).toContain('stdio,id=console')
  expect(args.join(' ')).not.toContain('fd=7')
})

test('no PCI, no ACPI, and the whole sandbox is on', () => {
  const args = qemuArgs(spec)
  expect(valueOf(args, '-machine')).toMatch(/^microvm,acpi=off,pcie=off/)
  expect(valueOf(args, '-sandbox')).toBe(
    'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
  )
  expect(args).toContain('-nodefaults')
  expect(args).toContain('-no-user-config')
})

test('nothing on the command line names a path of the host', () => {
  const paths = qemuArgs(spec).filter((arg) => /(^|[=,])\//.test(arg))
  expect(paths).toEqual(['/proc/self/fd/5', '/proc/self/fd/6'])
})

test('the accelerator decides the CPU model', () => {
  expect(valueOf(qemuArgs(spec), '-cpu')).toBe('host')
  expect(valueOf(qemuArgs({ ...spec, accelerator: 'tcg' }), '-cpu')).toBe(
    'max,-erms,-fsrm,level-func7=0',
  )
})
