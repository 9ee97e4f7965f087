import Testing

@testable import ChatTemplates

private func render(_ source: String, _ context: String = "{}") throws -> String {
    let context = try JSONValue(parsing: context).objectValue ?? JSONObject()
    return try ChatTemplate(source: source).render(context: context) {
        CivilTime(year: 2025, month: 7, day: 4, hour: 12, minute: 30, second: 45)
    }
}

/// Expected texts from Jinja2 3.1.6 in transformers' environment.
struct TemplateTests {
    static let data = #"""
        {"s":"Hello World","n":5,"l":[1,2,3],"d":{"b":1,"a":{"x":[7]}},"no":null,
         "ms":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo","n":2}],"u":"e\u0301🦙"}
        """#

    @Test(arguments: [
        ("{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7.5 // -2 }} {{ 2 ** -1 }} {{ -2 ** 2 }}", "3 -4 2 -4.0 0.5 4"),
        ("{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 1 in l }} {{ 'x' not in d }}", "True True True True True"),
        ("{{ s[0] }}{{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ l[:-1] }} {{ l[5:] }}", "Hd ell dlroW olleH [1, 2] []"),
        ("{{ u|length }} {{ u[0] }} {{ u[2] }} {{ u == 'é' }}", "3 e 🦙 False"),
        ("{{ [1, 'a', none, true, 2.0, {'k': (1,)}] }}", "[1, 'a', None, True, 2.0, {'k': (1,)}]"),
        ("{{ d.a.x[0] }} {{ d['a']['x'] }} {{ d.items is defined }} {{ d.zz is defined }}", "7 [7] True False"),
        (
            "{{ 'a' ~ 1 ~ none ~ 2.5 }} {{ '%s-%05.1f' % ('a', 3.14159) }} {{ '{:>4}|{x}'.format(1, x=2) }}",
            "a1None2.5 a-003.1    1|2"
        ),
        ("{{ 'x' if no else 'y' }} {{ no and zz.y }} {{ zz or 'z' }} [{{ 'q' if false }}]", "y None z []"),
        ("{% for i in l %}{{ loop.index }}{{ loop.last }}{{ loop.previtem }};{% endfor %}", "1False;2False1;3True2;"),
        ("{% for i in l if i > 1 %}{{ loop.index }}/{{ loop.length }} {% else %}none{% endfor %}", "1/2 2/2 "),
        ("{% for i in [] %}{% else %}none{% endfor %}", "none"),
        ("{% for i in l %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "13"),
        ("{% for i in l %}{{ x }}{% set x = i %}{% endfor %}{{ x is defined }}", "False"),
        ("{% set ns = namespace(v=0) %}{% for i in l %}{% set ns.v = ns.v + i %}{% endfor %}{{ ns.v }}", "6"),
        ("{% for k, v in d|dictsort %}{{ k }}{% endfor %}{% for k in d %}{{ k }}{% endfor %}", "abba"),
        ("{% for x in [1, [2, [3]]] recursive %}{{ x if x is not iterable else loop(x) }}{% endfor %}", "123"),
        (
            "{% macro m(a, b=a) %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ m(1) }} {{ m(1, b=2) }}",
            "11 12"
        ),
        ("{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(u) m('a') %}{{ u }}!{% endcall %}", "<a!>"),
        ("{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, b=2) }}", "(1,){'b': 2}"),
        ("{% set q = 1 %}{% macro m() %}{{ q }}{% endmacro %}{% set q = 2 %}{{ m() }}", "2"),
        ("{% set x %}a{{ n }}{% endset %}{{ x|upper }}{% filter upper %}b{% endfilter %}", "A5B"),
        ("{% with a=1 %}{{ a }}{% endwith %}{{ a }}{% generation %}g{% endgeneration %}", "1g"),
        ("  {% if n %}\n  a\n  {%- endif %}\n\nb\n", "  a\nb"),
        ("{{ n }}\n{# c #}\n{%+ if n %}x{% endif +%}\ny", "5\nx\ny"),
        ("{% raw %}{{ n }}{% endraw %}{{ \"}}\" }}{{ {'a': {}} }}", "{{ n }}}}{'a': {}}"),
        (
            "{{ ms|map(attribute='role')|join(',') }} {{ ms|selectattr('n', 'defined')|list|length }}",
            "user,assistant 1"
        ),
        ("{{ ms|rejectattr('role', 'equalto', 'user')|map(attribute='n')|first }} {{ l|select('odd')|sum }}", "2 4"),
        (
            "{{ ['b', 'A']|sort }} {{ ms|sort(attribute='content,role', reverse=true)|map(attribute='content')|list }}",
            "['A', 'b'] ['yo', 'hi']"
        ),
        (
            "{{ ms|groupby('role')|map('first')|list }} {{ [1, 1, 2]|unique|list }} {{ l|batch(2)|list }}",
            "['assistant', 'user'] [1, 2] [[1, 2], [3]]"
        ),
        ("{{ '<a>' + ('<b>'|safe) }} {{ '<a>'|e ~ '<' }}", "&lt;a&gt;<b> &lt;a&gt;<"),
        (
            "{{ no|map('upper')|list }}{{ no|selectattr('x')|list }} {{ '{:>4}|{}'.format(true, true) }}",
            "[][]    1|True"
        ),
        (
            "{{ d|tojson }} {{ '<é>'|tojson }} {{ [1]|tojson(indent=2) }} {{ d|tojson(separators=(',', ':')) }}",
            #"{"b": 1, "a": {"x": [7]}} "<é>" [\#n  1\#n] {"b":1,"a":{"x":[7]}}"#
        ),
        (#"{{ '{"a": [1.0]}'|from_json }}"#, "{'a': [1.0]}"),
        (
            "{{ ' x '.strip() }}{{ 'a,b'.split(',') }}{{ 'a b  c'.split(none, 1) }}{{ 'xax'.replace('x', '', 1) }}",
            "x['a', 'b']['a', 'b  c']ax"
        ),
        ("{{ 'ΑΣ'.lower() }} {{ 'straße'.upper() }} {{ \"it's\"|title }} {{ 'a-b'.title() }}", "ας STRASSE It's A-B"),
        ("{{ 'aaaa'.rsplit('aa', 1) }} {{ 'aXbX'.rfind('X') }} {{ 'a\u{301}b'.find('b') }}", "['aa', ''] 3 2"),
        ("{{ strftime_now('%Y-%m-%d %A %j %-I%p') }}", "2025-07-04 Friday 185 12PM"),
        ("{% set l2 = [] %}{% set _ = l2.append(1) %}{{ l2 }}{{ l2.pop() }}{{ l2 }}", "[1]1[]"),
        (
            "{{ 1234567|filesizeformat }} {{ 2.5|round }} {{ '3.7'|int }} {{ 'x'|float }} {{ 42.55|round(1, 'floor') }}",
            "1.2 MB 2.0 3 0.0 42.5"
        ),
        (
            "{{ 'a\nb'|indent }}|{{ 'hello world foo'|truncate(9) }}|{{ 'a b&c'|urlencode }}",
            "a\n    b|hello...|a%20b%26c"
        ),
    ])
    func rendersAsTheReference(_ source: String, _ expected: String) throws {
        let text = try render(source, Self.data)
        #expect(text.sameCodePoints(as: expected), "\(text.debugDescription)")
    }

    @Test(arguments: [
        ("{{ x.y }}", TemplateError.Kind.undefined), ("{{ x + 1 }}", .undefined), ("{{ x() }}", .undefined),
        ("{{ 'a' + 1 }}", .type), ("{{ 1 + none }}", .type), ("{% for i in 5 %}{% endfor %}", .type),
        ("{{ none|length }}", .type), ("{{ 1 / 0 }}", .zeroDivision), ("{% set x = none %}{{ x[1:] }}", .type),
        ("{{ 'a'.index('b') }}", .value),
        ("{{ [].__class__.x }}", .security), ("{{ {'a': 1}.clear() }}", .security), ("{{ x|tojson }}", .type),
        ("{{ [1, 'a']|sort }}", .type), ("{% set a, b = [1] %}", .value), ("{{ {[]: 1} }}", .type),
        ("{{ raise_exception('no') }}", .raised), ("{{ 'a'|nosuch }}", .syntax), ("{{ 'a' is nosuch }}", .syntax),
        ("{% if 1 %}", .syntax), ("{% endif %}", .syntax), ("{{ 1", .syntax), ("{{ }}", .syntax), ("{{ 'a }}", .syntax),
        ("{# a", .syntax), ("{% raw %}", .syntax), ("{{ (1 }}", .syntax), ("{{ a b }}", .syntax),
        ("{% do x %}", .syntax),
        ("{% break %}", .syntax), ("{{ f(a=1, 2) }}", .syntax), ("{% set 1 = 2 %}", .syntax), ("{{ ? }}", .syntax),
        ("{% include 'x' %}", .unsupported), ("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", .type),
        ("{% macro m(a) %}{% endmacro %}{{ m(z=1) }}", .type),
        ("{% set ns = namespace() %}{% set ns._a = 1 %}", .security),
    ])
    func failsAsTheReference(_ source: String, _ kind: TemplateError.Kind) {
        #expect {
            try render(source)
        } throws: {
            ($0 as? TemplateError)?.kind == kind
        }
    }

    @Test func errorsTellTheLine() {
        #expect(throws: TemplateError(.raised, "Roles must alternate", line: 3)) {
            try render("a\nb\n{% if true %}{{ raise_exception('Roles must alternate') }}{% endif %}")
        }
        #expect(throws: TemplateError(.syntax, "expected token 'end of print statement', got 'b'", line: 2)) {
            try render("\n{{ a b }}")
        }
    }

    @Test func renderingLeavesTheContextAlone() throws {
        let template = try ChatTemplate(source: "{% set _ = l.append(4) %}{{ l }}")
        let context = try #require(try JSONValue(parsing: #"{"l":[1]}"#).objectValue)
        for _ in 0..<2 { #expect(try template.render(context: context) == "[1, 4]") }
        #expect(context["l"] == [1])
    }

    @Test func knowsItsVariables() throws {
        let template = try ChatTemplate(source: "{% if enable_thinking is defined %}{{ x }}{% endif %}")
        #expect(template.mentions(variable: "enable_thinking"))
        #expect(!template.mentions(variable: "thinking"))
    }

    @Test(arguments: [
        (CivilTime(year: 2024, month: 12, day: 31), "Tue 366 52 53"),
        (CivilTime(year: 2023, month: 1, day: 1), "Sun 001 01 00"),
        (CivilTime(year: 2000, month: 2, day: 29), "Tue 060 09 09"),
    ])
    func calendar(_ day: CivilTime, _ expected: String) {
        #expect(day.formatted("%a %j %U %W") == expected)
    }

    @Test func civilTimeFromText() {
        #expect(CivilTime(iso: "2025-07-04T12:30:45")?.formatted("%c") == "Fri Jul  4 12:30:45 2025")
        #expect(CivilTime(iso: "2025-07-04")?.formatted("%F %T") == "2025-07-04 00:00:00")
        for text in ["", "2025", "2025-13-01", "2025-01-01T25:00:00", "2025-01-01T1", "x-y-z"] {
            #expect(CivilTime(iso: text) == nil)
        }
    }
}

struct ReasoningOptionsTests {
    @Test(arguments: [
        ("{{ enable_thinking }}", ReasoningOptions(isOn: false), "{\"enable_thinking\":false}"),
        ("{{ thinking }}", ReasoningOptions(isOn: true, effort: "high"), "{\"thinking\":true}"),
        ("{{ reasoning_effort }}", ReasoningOptions(isOn: true, effort: "high"), "{\"reasoning_effort\":\"high\"}"),
        ("{{ reasoning_effort }}", ReasoningOptions(isOn: false), "{\"reasoning_effort\":\"low\"}"),
        ("{{ thinking_budget }}", ReasoningOptions(isOn: false, budget: 512), "{\"thinking_budget\":0}"),
        ("{{ thinking_budget }}", ReasoningOptions(budget: 512), "{\"thinking_budget\":512}"),
        ("{{ messages }}", ReasoningOptions(isOn: true, effort: "high", budget: 1), "{}"),
        ("{{ enable_thinking }}", ReasoningOptions(), "{}"),
    ])
    func takesTheNamesOfTheTemplate(_ source: String, _ options: ReasoningOptions, _ expected: String) throws {
        #expect(JSONValue.object(options.variables(for: try ChatTemplate(source: source))).text() == expected)
    }
}
