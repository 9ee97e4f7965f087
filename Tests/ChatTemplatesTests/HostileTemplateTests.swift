import Foundation
import Testing

@testable import ChatTemplates

/// Runs `body` on a thread with as little stack as secondary threads get on any of our systems.
private func onSmallStack(_ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
        let thread = Thread {
            body()
            continuation.resume()
        }
        thread.stackSize = 512 << 10
        thread.start()
    }
}

private func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

/// Templates that try to hang, exhaust or crash the process. Each must end with one of these errors.
struct HostileTemplateTests {
    static let sources: [String: String] = [
        "huge string": "{{ 'a' * 10 ** 9 }}",
        "huge string, overflowing size": "{{ 'ab' * 9223372036854775807 }}",
        "huge list": "{{ [0] * 10 ** 9 }}",
        "huge list, overflowing size": "{{ [0, 1] * 9223372036854775807 }}",
        "doubling string":
            "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "doubling list": "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}",
        "doubling structure printed":
            "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
        "doubling structure as JSON":
            "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l|tojson }}",
        "doubling structures compared":
            "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}"
            + "{% endfor %}{{ n.a == n.b }}",
        "huge range": "{{ range(10 ** 12) }}",
        "range to the end": "{% for i in range(9223372036854775806, -9223372036854775807, -1) %}{% endfor %}",
        "nested loops":
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "integer overflow": "{{ 9223372036854775807 + 1 }}",
        "integer underflow": "{{ -9223372036854775807 - 2 }}",
        "integer product": "{{ 9223372036854775807 * 2 }}",
        "negated minimum": "{{ -(-9223372036854775807 - 1) }}",
        "divided minimum": "{{ (-9223372036854775807 - 1) // -1 }}",
        "power": "{{ 10 ** 10 ** 10 }}",
        "large power": "{{ 7 ** 9223372036854775807 }}",
        "nested parentheses": "{{ " + repeated("(", 50_000) + "1" + repeated(")", 50_000) + " }}",
        "nested lists": "{{ " + repeated("[", 50_000) + repeated("]", 50_000) + " }}",
        "nested dictionaries": "{{ " + repeated("{1:", 50_000) + "1" + repeated("}", 50_000) + " }}",
        "signs": "{{ " + repeated("-", 100_000) + "1 }}",
        "negations": "{{ " + repeated("not ", 50_000) + "1 }}",
        "long sum": "{{ 1" + repeated("+1", 50_000) + " }}",
        "long attribute chain": "{{ a" + repeated(".b", 50_000) + " }}",
        "long filter chain": "{{ a" + repeated("|upper", 50_000) + " }}",
        "long call chain": "{{ a" + repeated("()", 50_000) + " }}",
        "long conditional": "{{ 1" + repeated(" if 1 else 1", 50_000) + " }}",
        "nested blocks": repeated("{% if 1 %}", 20_000) + repeated("{% endif %}", 20_000),
        "nested loops in the source": repeated("{% for a in b %}", 20_000) + repeated("{% endfor %}", 20_000),
        "nested targets": "{% for " + repeated("(", 50_000) + "a" + repeated(")", 50_000) + " in b %}{% endfor %}",
        "endless recursion": "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
        "endless mutual recursion":
            "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        "endless recursion through deep expressions":
            "{% macro m(x) %}{{ " + repeated("(1 if x else [", 40) + "m(x)" + repeated("])", 40)
            + " }}{% endmacro %}{{ m(0) }}",
        "endless recursion through filters":
            "{% macro m(x) %}{{ [x]|map('string')|join(m(x)) }}{% endmacro %}{{ m(1) }}",
        "endless recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "endless caller":
            "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{{ caller() }}{% endmacro %}{{ m() }}",
        "list nested step by step":
            "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l] %}{% endfor %}",
        "list nested step by step by appending":
            "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set m = [] %}{% set _ = m.append(n.l) %}{% set n.l = m %}"
            + "{% endfor %}",
        "list nested inwards":
            "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set m = [] %}{% set _ = n.l.append(m) %}{% set n.l = m %}"
            + "{% endfor %}{{ 1 // 0 }}",
        "methods nested step by step":
            "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l.copy] %}{% set n.l = n.l + [1] %}{% endfor %}",
        "cyclers nested step by step":
            "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = cycler(n.l) %}{% endfor %}",
        "loops nested step by step":
            "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% for j in [n.l] %}{% set n.l = loop %}{% endfor %}{% endfor %}",
        "scopes nested step by step":
            "{% set n = namespace(m=none) %}{% macro start() %}{% macro inner() %}{% macro innermost() %}{{ n.m() }}{% endmacro %}"
            + "{% set n.m = innermost %}{% endmacro %}{% set n.m = inner %}{% endmacro %}{{ start() }}"
            + "{% for i in range(99999) %}{{ n.m() }}{% endfor %}",
        "nested arguments":
            "{% macro m(x) %}{{ m(" + repeated("[", 40) + "x" + repeated("]", 40) + ") }}{% endmacro %}{{ m(1) }}",
        "list in itself": "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
        "list in itself as JSON": "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}",
        "lists in each other compared":
            "{% set a = [] %}{% set b = [] %}{% set _ = a.append(b) %}{% set _ = b.append(a) %}{{ a == [[a]] == [[[[b]]]] and a < b }}"
            + "{{ a == b }}",
        "namespace in itself": "{% set n = namespace() %}{% set n.n = n %}{{ [n] }}",
        "endless append": "{% set l = [1] %}{% for i in range(99999) %}{% set _ = l.extend(l) %}{% endfor %}",
        "wide format": "{{ '%1000000000d' % 1 }}",
        "wide star format": "{{ '%*d' % (1000000000, 1) }}",
        "many digits in a format": "{{ '%99999999999999999999d' % 1 }}",
        "precise format": "{{ '%.1000000000f' % 1.5 }}",
        "wide braces": "{{ '{:>1000000000}'.format('a') }}",
        "precise braces": "{{ '{:.1000000000f}'.format(1.5) }}",
        "nested braces": "{{ ('{:{:{:{}}}}').format(1, 2, 3, 4) }}",
        "wide padding": "{{ 'a'.center(10 ** 12) }}{{ 'a'.zfill(10 ** 12) }}",
        "wide tabs": "{{ '\\t'.expandtabs(10 ** 12) }}",
        "wide indent": "{{ 'a\\nb'|indent(10 ** 12) }}",
        "wide JSON": "{{ [1]|tojson(indent=10 ** 12) }}",
        "long JSON separators": "{{ ([1] * 100000)|tojson(separators=('a' * 1000000, 'b')) }}",
        "large batch": "{{ [1]|batch(10 ** 12, 0)|list }}",
        "many slices": "{{ [1]|slice(10 ** 12)|list }}",
        "blown up replacement": "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
        "blown up replacement of nothing": "{{ ('a' * 1000000).replace('', 'b' * 1000000) }}",
        "blown up join": "{{ ('b' * 1000000).join(['a'] * 1000000) }}",
        "blown up escapes":
            "{% set n = namespace(s='&') %}{% for i in range(99) %}{% set n.s = n.s|forceescape ~ n.s %}{% endfor %}",
        "much output": "{% for i in range(99999) %}{{ 'a' * 100000 }}{% endfor %}",
        "unbounded call of arguments": "{{ dict(**{'a': 1}) }}{{ [1]|join(*range(99999)) }}",
    ]

    @Test(arguments: sources.keys.sorted()) func endsWithAnError(_ name: String) async throws {
        let source = try #require(Self.sources[name])
        await onSmallStack {
            do throws(TemplateError) {
                let text = try ChatTemplate(source: source).render(context: JSONObject())
                Issue.record("rendered \(text.utf8.count) bytes")
            } catch {
                #expect(error.kind != .raised)
            }
        }
    }

    /// Patterns that make a naive search quadratic.
    @Test func searchIsLinear() throws {
        var limits = TemplateLimits()
        limits.allocatedBytes = 1 << 32
        let source =
            "{% set s = 'a' * 4000000 %}{{ ('a' * 2000000 + 'b') in s }}{{ s.split('a' * 1000000 + 'b')|length }}"
        #expect(try ChatTemplate(source: source).render(context: JSONObject(), limits: limits) == "False1")
    }

    @Test func depthThatRealTemplatesNeedIsThere() throws {
        let macro =
            "{% macro show(x) %}{% if x is mapping %}{% for k, v in x.items() %}{{ k }}{{ show(v) }}{% endfor %}{% else %}."
            + "{% endif %}{% endmacro %}{{ show(d) }}"
        var value: JSONValue = 1
        for _ in 0..<30 { value = ["a": value] }
        let text = try ChatTemplate(source: macro).render(context: JSONObject([("d", value)]))
        #expect(text == repeated("a", 30) + ".")
    }

    /// Random edits of a template must never do worse than throw.
    @Test func mutatedTemplatesDoNotCrash() async {
        let pieces = [
            "{% for m in messages if m.role != 'x' %}", "{% endfor %}", "{{ m.content | trim }}", "{% if tools %}",
            "{% else %}",
            "{% endif %}", "{{", "}}", "{%", "%}", "{#", "#}", "(", ")", "[", "]", "{", "}", "-", "'", "\"", "\\", "|",
            ".", ",",
            ":", "=", "is ", "not ", "in ", "if ", "else ", "for ", "set x = ", "set x", "endset ", "macro m(a, b=1) ",
            "endmacro ", "m(1, *[2])", "loop.index", "messages[1:-1]", "messages[::-1]", "tojson(indent=2)",
            "namespace(a=1)",
            "1", "0x", "1e9", "2.5", "é", "\u{0}", "\n", "  ", "raw %}", "{% endraw %}", "**", "//", "~", "<=",
            "recursive ",
            "caller()", "call m() ", "endcall ", "filter upper ", "endfilter ", "%s", "{:>5}", ".format(1)", "_",
            "None", "true",
        ]
        await onSmallStack {
            var generator = SplitMix(state: 7)
            var rendered = 0
            for _ in 0..<20_000 {
                var source = ""
                for _ in 0..<Int.random(in: 1...14, using: &generator) {
                    source += pieces.randomElement(using: &generator) ?? ""
                }
                var limits = TemplateLimits()
                limits.steps = 10_000
                let messages: JSONValue = [["role": "user", "content": "hi"], ["role": "x"], 3, nil]
                var context = JSONObject()
                context["messages"] = messages
                context["tools"] = [["a": 1.5]]
                if (try? ChatTemplate(source: source).render(context: context, limits: limits)) != nil { rendered += 1 }
            }
            #expect(rendered > 100)
        }
    }
}

/// A small reproducible generator (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators").
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
