import { test } from 'vitest';
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { findObjects } from './real-objects.ts';
import { loadObject } from '../src/bpf/elf/index.ts';
import { Btf } from '../src/bpf/btf/btf.ts';
import { decodeInsns, encodeInsns, isLdImm64, type Insn } from '../src/bpf/insn.ts';
const dirs = (process.env.DIRS ?? '/tmp/realobj/x').split(':');
test('real', () => {
  const target = Btf.parse(new Uint8Array(readFileSync('/sys/kernel/btf/vmlinux')));
  mkdirSync('/tmp/orc/obj',{recursive:true});
  let same=0, diff=0, n=0, mapsSame=0;
  for (const o of findObjects(dirs)) {
    if (o.id.includes('libgcc') || o.id.includes('crt') || o.id.includes('-eb.elf')) continue;
    const f = '/tmp/orc/obj/'+(n++)+'.o'; writeFileSync(f, o.bytes);
    const r = spawnSync('/tmp/orc/orc',[f],{encoding:'utf8', timeout: 20000});
    const lines = r.stdout.split('\n').filter(l=>l.startsWith('{')).map(l=>JSON.parse(l));
    const done = lines.find(l=>'load' in l || 'open' in l);
    if (!done || done.load!==0) { console.log('libbpf:', o.id.split('/').slice(-2).join('/'), JSON.stringify(done), r.stderr.split('\n').filter(x=>!x.includes('bind map')).slice(0,3).join(' | ')); }
    let obj; try { obj = loadObject(o.bytes,{name:f.split('/').pop(), target, lenient:true, cpus:2, kfunc: (n)=>{const id=target.find(n,12); return id||undefined;}}); } catch(e) { console.log('ours:', o.id, String(e)); continue; }
    const short=(s:string)=>s.slice(0,15);
    // maps
    const fd = new Map<number,string>();
    const wantMaps = lines.filter(l=>l.map && !l.map.startsWith('libbpf_') );
    for (const m of obj.maps) {
      const w = wantMaps.filter(l=>l.map===short(m.name));
      const ok = w.find(l=>l.t===m.type&&l.k===m.keySize&&l.v===m.valueSize&&l.n===m.maxEntries&&l.f===m.flags);
      if (ok) mapsSame++; else if (wantMaps.length) console.log('map', o.id.split('/').pop(), m.name, [m.type,m.keySize,m.valueSize,m.maxEntries,m.flags], JSON.stringify(w));
    }
    const rest=[...obj.programs];
    for (const w of lines) {
      if (w.map) { fd.set(w.fd,w.map); continue; }
      if (!w.prog) continue;
      const k = rest.findIndex(p=>short(p.name)===w.prog); const p = k<0?undefined:rest.splice(0,k+1).at(-1);
      if (!p) { if(!w.prog.startsWith('det_')) console.log('no prog', o.id, w.prog); continue; }
      const norm = (is: readonly Insn[], nm: (i:number)=>string|undefined) => is.map((i,k)=> isLdImm64(i)&&(i.src===1||i.src===2) ? `${i.code} ${i.dst} ${i.src} ${nm(i.imm)}` : `${i.code} ${i.dst} ${i.src} ${i.off} ${i.imm}`);
      const a = norm(decodeInsns(new Uint8Array(Buffer.from(w.insns,'hex'))), i=>fd.get(i));
      const b = norm(p.insns, i=>short(obj.maps[i]?.name??'?'));
      const at = a.findIndex((x,i)=>x!==b[i]);
      const fi = JSON.stringify(w.fi)===JSON.stringify((p.funcInfo??[]).map(x=>[x.insn,x.typeId]));
      const l2 = JSON.stringify(w.li)===JSON.stringify((p.lineInfo??[]).map(x=>[x.insn,x.line*1024+x.column]));
      const ty = w.type===p.type && w.eat===p.expectedAttachType && w.flags===p.flags;
      if (at<0 && a.length===b.length && fi && l2 && ty) same++; else { diff++; console.log('DIFF', o.id.split('/').pop(), w.prog, p.section, a.length,b.length,'at',at,a[at],'|',b[at], p.problem?.message??'', {fi,l2,ty}, [w.type,w.eat,w.flags],[p.type,p.expectedAttachType,p.flags]); }
    }
  }
  console.log({same,diff,n,mapsSame});
}, 600000);
