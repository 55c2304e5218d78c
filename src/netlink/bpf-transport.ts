/** bpf(2) of a host, for tools (wire/uapi/bpf-transport.ts). */
import { loadObject } from '../bpf/elf/index.ts';
import { mapCommand } from '../bpf/maps/command.ts';
import { VerifierError } from '../bpf/system.ts';
import { ENODEV, KernelError } from '../core/errno.ts';
import type { Host } from '../netns/host.ts';
import type { BpfLoaded, BpfTransport } from '../wire/uapi/bpf-transport.ts';

const basename = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The kernel's message, and what netloom knows beyond it: the source line and what to change. */
function refusal(error: VerifierError): string {
  const { explanation } = error.verdict;
  const lines = [`the verifier refused ${error.message}`];
  if (explanation !== undefined) {
    if (explanation.source !== undefined)
      lines.push(
        `  ${basename(explanation.source.file)}:${explanation.source.line}: ${explanation.source.text.trim()}`,
      );
    lines.push(`  ${explanation.hint}`);
  }
  return lines.join('\n');
}

export function hostBpf(host: Host): BpfTransport {
  const attempt = (what: () => void): number => {
    try {
      what();
      return 0;
    } catch (error) {
      if (error instanceof KernelError) return -error.errno;
      throw error;
    }
  };
  const hook = (ifindex: number, egress: boolean) => {
    const dev = host.devices.get(ifindex);
    if (dev === undefined) throw new KernelError(ENODEV);
    return { dev, hook: host.bpf.tc(dev, egress ? 'egress' : 'ingress') };
  };
  return {
    load(bytes, { file, section, program, defaultType }): readonly BpfLoaded[] {
      const object = loadObject(bytes, { name: basename(file), defaultType });
      const chosen = object.programs.filter((p) =>
        program !== undefined ? p.name === program : section !== undefined ? p.section === section : p.autoload,
      );
      if (chosen.length === 0) {
        const have = object.programs.map((p) => `${p.name} (section ${p.section})`).join(', ');
        const wanted = program ?? section;
        throw new Error(
          `${basename(file)} has no program${wanted === undefined ? '' : ` ${wanted}`}; it has: ${have || 'none'}`,
        );
      }
      try {
        const { programs } = host.bpf.system.loadObject(object, { names: chosen.map((p) => p.name) });
        return programs.map((p) => ({ id: p.id, name: p.name, section: p.spec.section, type: p.spec.type }));
      } catch (error) {
        if (error instanceof VerifierError) throw new Error(refusal(error));
        throw error;
      }
    },
    unload: (id) => attempt(() => host.bpf.unload(id)),
    programs: () =>
      host.hasBpf
        ? [...host.bpf.system.programs.values()].map((p) => ({
            id: p.id,
            name: p.name,
            type: p.spec.type,
            insns: p.spec.insns.length,
            maps: p.maps.map((m) => m.id),
            gpl: p.spec.license.includes('GPL'),
          }))
        : [],
    map: (words, options) =>
      mapCommand(
        words,
        {
          maps: host.hasBpf ? host.bpf.system.machine.maps.filter((m) => m !== undefined) : [],
          cpus: 1,
          btf: (m) => host.bpf.system.btfOf(m),
        },
        options,
      ),
    tcx(ifindex, egress) {
      if (!host.hasBpf) return [];
      const hooks = host.bpf.hooksOf(ifindex);
      return (egress ? hooks.egress : hooks.ingress)?.tcx.map((p) => p.id) ?? [];
    },
    attachTcx: (ifindex, egress, program) =>
      attempt(() => {
        const at = hook(ifindex, egress);
        at.hook.attach(host.bpf.tcProgram(program));
        host.bpf.refresh(at.dev);
      }),
    detachTcx: (ifindex, egress, program) =>
      attempt(() => {
        const at = hook(ifindex, egress);
        at.hook.detach(program);
        host.bpf.refresh(at.dev);
      }),
  };
}
