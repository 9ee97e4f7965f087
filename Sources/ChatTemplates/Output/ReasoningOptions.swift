/// What a request wants of a model's reasoning, put into the variables that its template understands.
package struct ReasoningOptions: Sendable, Equatable {
    /// Nil leaves the decision to the template.
    package var isOn: Bool?
    /// `low`, `medium`, `high` or what else the model knows.
    package var effort: String?
    /// Tokens of thought; templates that do not know a budget leave it to the engine, see
    /// `OutputSyntax.reasoningClose`.
    package var budget: Int?

    package init(isOn: Bool? = nil, effort: String? = nil, budget: Int? = nil) {
        self.isOn = isOn
        self.effort = effort
        self.budget = budget
    }

    /// The variables to render the template with. Names differ from family to family: `enable_thinking` (Qwen, GLM,
    /// Gemma), `thinking` (DeepSeek, Granite), `reasoning_effort` (gpt-oss), `thinking_budget` (Seed-OSS, 0 is off).
    package func variables(for template: ChatTemplate) -> JSONObject {
        var variables = JSONObject()
        func offer(_ name: String, _ value: JSONValue?) {
            if let value, template.mentions(variable: name) { variables[name] = value }
        }
        offer("enable_thinking", isOn.map { .bool($0) })
        offer("thinking", isOn.map { .bool($0) })
        offer("reasoning_effort", effort.map { .string($0) } ?? (isOn == false ? "low" : nil))
        offer("thinking_budget", isOn == false ? 0 : budget.map { .int($0) })
        return variables
    }
}
