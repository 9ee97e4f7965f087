/// A chat template as models carry it in their files: Jinja source that turns messages into the prompt.
///
/// The language and its environment are those of the `transformers` library: Jinja2 3.1 with `trim_blocks`,
/// `lstrip_blocks`, `break` and `continue`, `{% generation %}`, a `tojson` without HTML escapes, `raise_exception` and
/// `strftime_now`; no includes and no inheritance. Beyond its sandbox, lists and dictionaries made by the template can
/// be appended to, and `from_json` exists, since published templates use both.
package struct ChatTemplate: Sendable {
    /// The Jinja text as given.
    package let source: String
    private let parsed: ParsedTemplate

    /// - Throws: `TemplateError` of kind `syntax`, `unsupported` or `limit`.
    package init(source: String) throws(TemplateError) {
        self.source = source
        parsed = try Parser.parse(source)
    }

    /// The prompt for a conversation.
    /// - Parameters:
    ///   - context: the variables of the template: `messages`, `tools`, `documents`, `bos_token`, `eos_token`,
    ///     `add_generation_prompt` and whatever the template offers beyond. A variable that is null exists and is none;
    ///     one that is absent is undefined.
    ///   - clock: the local time for `strftime_now`.
    package func render(
        context: JSONObject, limits: TemplateLimits = TemplateLimits(),
        clock: @escaping () -> CivilTime = { CivilTime.now() }
    ) throws(TemplateError) -> String {
        var steps = 0
        return try render(context: context, limits: limits, clock: clock, steps: &steps)
    }

    /// - Parameter steps: is raised by what the rendering cost, in the terms of ``TemplateLimits/steps``.
    func render(
        context: JSONObject, limits: TemplateLimits, clock: @escaping () -> CivilTime, steps: inout Int
    ) throws(TemplateError) -> String {
        let evaluator = Evaluator(template: parsed, context: context, limits: limits, clock: clock)
        defer { steps += evaluator.steps }
        return try evaluator.render()
    }

    /// Whether the template reads a variable of this name anywhere: which of its switches a model offers.
    package func mentions(variable name: String) -> Bool {
        parsed.names.contains { $0.sameCodePoints(as: name) }
    }
}
