/* The page around sections: style, script, policy.
 *
 * In: a title. Out: HTML of one file; nothing is ever fetched.
 * Rule: the policy in the head allows the one script below, by its hash, pictures that the page brings along, and
 * nothing else: whatever a name of a class holds, it cannot run. */
#include "../err.h"
#include "../file.h"
#include "../sha256.h"
#include "page.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

static const char style[] =
    "*{box-sizing:border-box}html{color-scheme:light dark;-webkit-text-size-adjust:100%}"
    "body{margin:0;background:var(--p);color:var(--t);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'DejaVu Sans',sans-serif}main{max-width:1120px;margin:0 auto;padding:28px 20px 72px}"
    "h1{font-size:28px;line-height:1.2;margin:0;overflow-wrap:anywhere}"
    "h2{font-size:20px;margin:52px 0 14px;padding-top:16px;border-top:1px solid var(--g)}"
    "h3{font-size:15px;margin:22px 0 8px;overflow-wrap:anywhere}p{margin:0 0 12px;max-width:74ch}"
    ".s{color:var(--m)}.s,td,th,pre,figcaption{font-size:14px}"
    "nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:20px 0 0;font-size:14px}a{color:var(--0)}"
    "dl.f{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:16px;margin:26px 0}"
    "dl.f div{border-left:3px solid var(--0);padding-left:12px}dt{color:var(--m);font-size:14px}"
    "dd{margin:0;font-size:24px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    ".v{border-left:3px solid var(--1);padding:2px 0 2px 14px;margin:22px 0}.v b{font-size:18px}"
    ".p{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:28px 32px}"
    ".p svg,.w svg{display:block;width:100%;height:auto}.w,.x{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:4px 14px 4px 0;text-align:right;border-bottom:1px solid var(--g);white-space:nowrap}"
    "th{color:var(--m);font-weight:500;vertical-align:bottom;white-space:normal}th.n,td.n{text-align:left;white-space:normal;"
    "overflow-wrap:anywhere;min-width:110px}"
    "td.h{min-width:120px}td.h i{display:block;height:10px;background:var(--0)}"
    ".q{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr));gap:0 32px}"
    ".q2{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}"
    ".g{display:flex;flex-wrap:wrap;gap:14px 16px}figure{margin:0;width:148px}figure.n{width:auto}"
    "figure img,.a img{display:block;image-rendering:pixelated;background:var(--g)}figure img{width:112px;max-width:100%}"
    "figure.n img{width:auto}figcaption{line-height:1.35;margin-top:4px;overflow-wrap:anywhere}"
    "figcaption b{font-weight:600}.a{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:10px}.a img{width:84px}"
    ".k{display:inline-block;width:12px;height:12px;background:var(--c);margin-right:6px;vertical-align:-1px}"
    ".k2{margin-right:16px;overflow-wrap:anywhere;font-size:14px}pre{overflow-x:auto;background:none;border:1px solid "
    "var(--g);padding:12px 14px;line-height:1.45;margin:0}canvas{width:100%;max-width:600px;aspect-ratio:1;display:"
    "block;border:1px solid var(--g);touch-action:pan-y;cursor:grab}summary{cursor:pointer;color:var(--0)}";

/* Points in space that turn: by themselves until they are touched, then by pointer or arrow keys. */
static const char script[] =
    "for(const c of document.querySelectorAll('canvas[data-p]')){"
    "const P=c.dataset.p.split(';').map(s=>s.split(' ').map(Number)),g=c.getContext('2d');"
    "let a=.6,b=.4,at=null,go=!matchMedia('(prefers-reduced-motion:reduce)').matches,seen=false;"
    "const turn=p=>{const u=p[0]*Math.cos(a)+p[2]*Math.sin(a),w=p[2]*Math.cos(a)-p[0]*Math.sin(a);"
    "return[u,p[1]*Math.cos(b)-w*Math.sin(b),w*Math.cos(b)+p[1]*Math.sin(b),p[3]]};"
    "const box=[];for(let i=0;i<8;i++)for(const k of[1,2,4])if(!(i&k))box.push([i,i|k].map(j=>"
    "[j&1?1:-1,j&2?1:-1,j&4?1:-1,0]));"
    "function draw(){const r=devicePixelRatio||1,s=c.clientWidth;c.width=c.height=s*r;g.scale(r,r);"
    "const css=getComputedStyle(document.documentElement),ink=n=>css.getPropertyValue('--'+n),"
    "to=q=>{const f=s*.26*3.2/(3.2-q[2]);return[s/2+f*q[0],s/2+f*q[1],f/s*4]};"
    "g.strokeStyle=ink('g');g.lineWidth=1;for(const e of box){g.beginPath();e.map(turn).map(to).forEach((p,i)=>"
    "i?g.lineTo(p[0],p[1]):g.moveTo(p[0],p[1]));g.stroke()}"
    "const col=[0,1,2,3,4,5,6,7].map(ink);for(const q of P.map(turn).sort((m,n)=>m[2]-n[2])){"
    "const[x,y,f]=to(q),h=(q[3]>>3)%5,d=2.6*f;g.fillStyle=col[q[3]&7];g.globalAlpha=.55+.4*(q[2]+1.7)/3.4;g.beginPath();"
    "if(h==0)g.arc(x,y,d,0,7);else if(h==1)g.rect(x-d,y-d,2*d,2*d);else if(h==2){g.moveTo(x,y-1.4*d);"
    "g.lineTo(x+1.4*d,y);g.lineTo(x,y+1.4*d);g.lineTo(x-1.4*d,y)}else if(h==3){g.moveTo(x,y-1.3*d);"
    "g.lineTo(x+1.3*d,y+d);g.lineTo(x-1.3*d,y+d)}else{g.rect(x-d/3,y-1.3*d,d/1.5,2.6*d);"
    "g.rect(x-1.3*d,y-d/3,2.6*d,d/1.5)}g.fill()}g.globalAlpha=1}"
    "function loop(){if(go&&seen){a+=.006;draw();requestAnimationFrame(loop)}}"
    "new IntersectionObserver(e=>{const was=seen;seen=e[e.length-1].isIntersecting;if(seen&&!was){draw();loop()}})"
    ".observe(c);new ResizeObserver(draw).observe(c);"
    "matchMedia('(prefers-color-scheme:dark)').addEventListener('change',draw);"
    "c.addEventListener('pointerdown',e=>{go=false;at=[e.clientX,e.clientY];c.setPointerCapture(e.pointerId)});"
    "c.addEventListener('pointermove',e=>{if(!at)return;a+=(e.clientX-at[0])*.01;b+=(e.clientY-at[1])*.01;"
    "at=[e.clientX,e.clientY];draw()});c.addEventListener('pointerup',()=>at=null);"
    "c.addEventListener('keydown',e=>{const k={ArrowLeft:[-.1,0],ArrowRight:[.1,0],ArrowUp:[0,-.1],ArrowDown:[0,.1]}"
    "[e.key];if(k){go=false;a+=k[0];b+=k[1];draw();e.preventDefault()}})}";

void rt_base64(FILE *f, const uint8_t *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        fputc(digit[v >> 18], f);
        fputc(digit[v >> 12 & 63], f);
        fputc(i + 1 < n ? digit[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? digit[v & 63] : '=', f);
    }
}

static void script_hash(FILE *f)
{
    RtSha256 sha;
    char hex[RT_SHA256_HEX + 1], two[3] = "";
    uint8_t sum[RT_SHA256_HEX / 2];
    rt_sha256_begin(&sha);
    rt_sha256_add(&sha, script, sizeof script - 1);
    rt_sha256_hex(&sha, hex);
    for (size_t i = 0; i < sizeof sum; i++) {
        memcpy(two, hex + 2 * i, 2);
        sum[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    fputs("; script-src 'sha256-", f);
    rt_base64(f, sum, sizeof sum);
    fputc('\'', f);
}

void rt_page_begin(FILE *f, const char *title, const char *kind, bool scripts)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
          "'unsafe-inline'",
          f);
    if (scripts) script_hash(f);
    fputs("\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>", f);
    rt_html_text(f, title);
    fprintf(f, " \xe2\x80\x94 %s</title>\n<style>%s\n%s</style></head>\n<body><main>\n<h1>", kind, rt_ink_css, style);
    rt_html_text(f, title);
    fputs("</h1>\n", f);
}

void rt_page_end(FILE *f, bool scripts)
{
    fputs("</main>\n", f);
    if (scripts) fprintf(f, "<script>%s</script>\n", script);
    fputs("</body></html>\n", f);
}

void rt_page_section(FILE *f, const char *id, const char *title)
{
    fprintf(f, "<section id=\"%s\"><h2>%s</h2>\n", id, title);
}

void rt_page_plot(FILE *f, const RtRun *r, const char *name)
{
    const RtPlot *plot = rt_plot(name);
    RtSvg s;
    if (!plot->has(r)) return;
    rt_svg_init(&s, f, 0);
    fputs("<div class=\"w\">", f);
    plot->draw(&s.paint, r);
    fputs("</div>\n", f);
}

/* A text of the run in an element, escaped. */
void rt_page_text(FILE *f, const char *before, const char *s, const char *after)
{
    fputs(before, f);
    rt_html_text(f, s);
    fputs(after, f);
}

FILE *rt_text_open(char **text, size_t *n)
{
    FILE *f = open_memstream(text, n);
    if (!f) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate a page");
    return f;
}

void rt_text_save(FILE *f, char **text, const size_t *n, const char *path)
{
    bool bad = fflush(f) != 0 || ferror(f);
    fclose(f);
    if (bad) rt_fail(RT_EXIT_MEMORY, "E003", "cannot allocate a page");
    rt_file_save(path, *text, *n, NULL);
    free(*text);
}
