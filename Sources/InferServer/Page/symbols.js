// What LaTeX's commands are called in Unicode.

const words = (text) => Object.fromEntries(text.trim().split(/\s+/).map((pair) => {
  const at = pair.indexOf(":");
  return [pair.slice(0, at), pair.slice(at + 1)];
}));
const LETTERS = words(`alpha:α beta:β gamma:γ delta:δ epsilon:ϵ varepsilon:ε zeta:ζ eta:η theta:θ vartheta:ϑ iota:ι
kappa:κ varkappa:ϰ lambda:λ mu:μ nu:ν xi:ξ omicron:ο pi:π varpi:ϖ rho:ρ varrho:ϱ sigma:σ varsigma:ς tau:τ upsilon:υ
phi:ϕ varphi:φ chi:χ psi:ψ omega:ω Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω
hbar:ℏ hslash:ℏ ell:ℓ Re:ℜ Im:ℑ aleph:ℵ beth:ℶ wp:℘ partial:∂ infty:∞ nabla:∇ emptyset:∅ varnothing:∅ imath:ı jmath:ȷ
top:⊤ bot:⊥ angle:∠ measuredangle:∡ triangle:△ square:□ Box:□ blacksquare:■ diamond:⋄ Diamond:◇ clubsuit:♣
diamondsuit:♢ heartsuit:♡ spadesuit:♠ sharp:♯ flat:♭ natural:♮ degree:° dag:† ddag:‡ S:§ P:¶ copyright:© pounds:£
checkmark:✓ bigstar:★ eth:ð complement:∁ Bbbk:𝕜 lbrace:{ rbrace:} ldots:… dots:… cdots:⋯ vdots:⋮ ddots:⋱ dotsc:…
dotsb:⋯ dotsm:⋯ dotsi:⋯ backslash:∖ prime:′ QED:∎ blacklozenge:⧫ AA:Å ae:æ oe:œ ss:ß o:ø O:Ø varGamma:Γ varDelta:Δ varOmega:Ω digamma:ϝ mho:℧ blacktriangle:▲ triangledown:▽ lozenge:◊`);
const OPERATORS = words(`times:× div:÷ cdot:⋅ pm:± mp:∓ ast:∗ star:⋆ circ:∘ bullet:∙ oplus:⊕ ominus:⊖ otimes:⊗
oslash:⊘ odot:⊙ dagger:† ddagger:‡ cap:∩ cup:∪ uplus:⊎ sqcap:⊓ sqcup:⊔ vee:∨ lor:∨ wedge:∧ land:∧ setminus:∖
smallsetminus:∖ wr:≀ amalg:⨿ le:≤ leq:≤ leqslant:⩽ ge:≥ geq:≥ geqslant:⩾ neq:≠ ne:≠ ll:≪ gg:≫ lll:⋘ ggg:⋙ equiv:≡
sim:∼ simeq:≃ approx:≈ approxeq:≊ cong:≅ propto:∝ varpropto:∝ asymp:≍ doteq:≐ triangleq:≜ coloneqq:≔ coloneq:≔
prec:≺ succ:≻ preceq:⪯ succeq:⪰ subset:⊂ supset:⊃ subseteq:⊆ supseteq:⊇ subsetneq:⊊ supsetneq:⊋ nsubseteq:⊈
sqsubseteq:⊑ sqsupseteq:⊒ in:∈ notin:∉ ni:∋ owns:∋ vdash:⊢ dashv:⊣ models:⊨ vDash:⊨ Vdash:⊩ perp:⊥ parallel:∥
nparallel:∦ mid:∣ nmid:∤ bowtie:⋈ smile:⌣ frown:⌢ forall:∀ exists:∃ nexists:∄ neg:¬ lnot:¬ to:→ rightarrow:→
leftarrow:← gets:← leftrightarrow:↔ Rightarrow:⇒ Leftarrow:⇐ Leftrightarrow:⇔ implies:⟹ impliedby:⟸ iff:⟺
longrightarrow:⟶ longleftarrow:⟵ longleftrightarrow:⟷ Longrightarrow:⟹ Longleftarrow:⟸ Longleftrightarrow:⟺ mapsto:↦
longmapsto:⟼ hookrightarrow:↪ hookleftarrow:↩ uparrow:↑ downarrow:↓ updownarrow:↕ Uparrow:⇑ Downarrow:⇓ nearrow:↗
searrow:↘ swarrow:↙ nwarrow:↖ rightharpoonup:⇀ rightharpoondown:⇁ leftharpoonup:↼ leftharpoondown:↽
rightleftharpoons:⇌ leadsto:⇝ rightsquigarrow:⇝ twoheadrightarrow:↠ upharpoonright:↾ circlearrowleft:↺
circlearrowright:↻ therefore:∴ because:∵ colon:: vert:| lvert:| rvert:| Vert:‖ lVert:‖ rVert:‖ langle:⟨ rangle:⟩
lceil:⌈ rceil:⌉ lfloor:⌊ rfloor:⌋ ulcorner:⌜ urcorner:⌝ llcorner:⌞ lrcorner:⌟ lgroup:⟮ rgroup:⟯ lbrack:[ rbrack:]
ltimes:⋉ rtimes:⋊ gtrsim:≳ lesssim:≲ gtrless:≷ lessgtr:≶ boxplus:⊞ boxtimes:⊠ trianglelefteq:⊴ triangleleft:◁
triangleright:▷ rhd:⊳ lhd:⊲ between:≬ pitchfork:⋔ surd:√ lt:< gt:> cdotp:⋅ ldotp:. colon:: approxeq:≊ nsim:≁ ncong:≇ nless:≮ ngtr:≯ nleq:≰ ngeq:≱
nsubset:⊄ nsupset:⊅ supsetneqq:⫌ subseteqq:⫅ circledast:⊛ dotplus:∔ divideontimes:⋇ Longleftarrow:⟸ dashrightarrow:⇢
rightrightarrows:⇉ leftrightarrows:⇆ nrightarrow:↛ nRightarrow:⇏ restriction:↾ vartriangle:△ trianglerighteq:⊵`);
const LARGE = words(`sum:∑ prod:∏ coprod:∐ bigcup:⋃ bigcap:⋂ bigvee:⋁ bigwedge:⋀ bigoplus:⨁ bigotimes:⨂ bigodot:⨀
biguplus:⨄ bigsqcup:⨆`);
const INTEGRALS = words("int:∫ iint:∬ iiint:∭ oint:∮ oiint:∯ oiiint:∰ smallint:∫");
const FUNCTIONS = new Set(`arccos arcsin arctan arg cos cosh cot coth csc deg dim exp hom ker lg ln log sec sin sinh tan
tanh sgn sign erf tr rank diag span supp Var Cov`.split(/\s+/));
const LIMITS = new Set("lim max min sup inf limsup liminf det gcd lcm Pr argmax argmin injlim projlim".split(" "));
const ACCENTS = words(`hat:^ widehat:^ bar:¯ vec:→ dot:˙ ddot:¨ dddot:⃛ tilde:~ widetilde:~ check:ˇ breve:˘ acute:´
grave:\` mathring:˚ overline:‾ overrightarrow:→ overleftarrow:← overleftrightarrow:↔ overbrace:⏞ overbracket:⎴
overarc:⌒`);
const UNDERS = words("underline:_ underbrace:⏟ underbracket:⎵ underrightarrow:→ underleftarrow:←");
const ARROWS = words("xrightarrow:→ xleftarrow:← xleftrightarrow:↔ xRightarrow:⇒ xLeftarrow:⇐ xmapsto:↦ xhookrightarrow:↪");
const SPACES = words(`,:0.167em ::0.222em >:0.222em ;:0.278em !:-0.167em quad:1em qquad:2em enspace:0.5em thinspace:0.167em
medspace:0.222em thickspace:0.278em negthinspace:-0.167em hfill:1em`);
/// Upper case, lower case and digits of each alphabet, and its letters that stand elsewhere.
const ALPHABETS = {
  bold: [0x1d400, 0x1d41a, 0x1d7ce, ""],
  double: [0x1d538, 0x1d552, 0x1d7d8, "CℂHℍNℕPℙQℚRℝZℤ"],
  script: [0x1d49c, 0x1d4b6, 0, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"],
  fraktur: [0x1d504, 0x1d51e, 0, "CℭHℌIℑRℜZℨ"],
  sans: [0x1d5a0, 0x1d5ba, 0x1d7e2, ""],
  mono: [0x1d670, 0x1d68a, 0x1d7f6, ""],
  boldItalic: [0x1d468, 0x1d482, 0x1d7ce, ""],
};
const FONTS = {
  mathbf: "bold", boldsymbol: "boldItalic", bm: "boldItalic", mathbb: "double", mathcal: "script", mathscr: "script",
  mathfrak: "fraktur", mathsf: "sans", mathtt: "mono", mathit: "italic", mathrm: "plain", Bbb: "double", bf: "bold",
  rm: "plain", cal: "script", mathds: "double",
};
const TEXTS = {
  text: "", textrm: "", textnormal: "", mbox: "", textbf: "bold", textit: "italic", textsf: "", texttt: "code", hbox: "",
  emph: "italic",
};
/// Environments: the fences around them, and how their columns stand.
const ENVIRONMENTS = {
  matrix: ["", "", ""], pmatrix: ["(", ")", ""], bmatrix: ["[", "]", ""], Bmatrix: ["{", "}", ""],
  vmatrix: ["|", "|", ""], Vmatrix: ["‖", "‖", ""], smallmatrix: ["", "", ""], array: ["", "", ""],
  cases: ["{", "", "left"], rcases: ["", "}", "left"], dcases: ["{", "", "left"], aligned: ["", "", "align"],
  align: ["", "", "align"], alignat: ["", "", "align"], split: ["", "", "align"], eqnarray: ["", "", "align"],
  gather: ["", "", ""], gathered: ["", "", ""], multline: ["", "", ""], equation: ["", "", ""], subarray: ["", "", ""],
};
