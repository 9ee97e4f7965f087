/// Finds out what a template can take: it renders small conversations whose texts are words that nobody else uses, and
/// looks whether each word is in the prompt, once. Where one is refused, dropped or garbled, the ways that
/// ``TemplateTraits`` knows are tried in turn, with the same code that writes prompts.
///
/// Done once for a template, and bounded by steps: what a template's cost leaves unknown is taken for what it can do.
struct TemplateProbe {
    private typealias Change = (inout TemplateTraits) -> Void

    /// A conversation, and what its prompt must be like.
    private struct Shape {
        var messages: [ChatMessage]
        /// Each is there once, and in this order if the template leaves it a choice.
        var words: [String]
        var tools: [JSONValue] = []
        /// Texts that are there equally often.
        var balanced: [String] = []
        var forbidden: [String] = []
        /// Texts that are there at all.
        var present: [String] = []
    }

    private enum Verdict: Comparable {
        case incomplete, complete, inOrder, unknown
    }

    private struct OutOfSteps: Error {}

    static let stepsOfOneRendering = 200_000
    static let stepsOfAll = 2_000_000

    private(set) var traits = TemplateTraits()
    private(set) var steps = 0
    private(set) var renderings = 0
    private let runner: TemplateRunner
    /// What every conversation begins with, so that the template takes it at all.
    private var front: [ChatMessage] = []

    init(_ runner: TemplateRunner) {
        var runner = runner
        runner.limits.steps = Self.stepsOfOneRendering
        runner.limits.allocatedBytes = 64 << 20
        runner.limits.outputBytes = 4 << 20
        self.runner = runner
        guard findBeginning() else { return }
        findTexts()
        findSystem()
        findTools()
        findCalls()
        findThoughts()
    }

    // MARK: Trying

    /// - Throws: ``OutOfSteps`` where nothing was found out.
    private mutating func rendered(_ shape: Shape, _ traits: TemplateTraits) throws(OutOfSteps) -> String? {
        guard steps < Self.stepsOfAll else { throw OutOfSteps() }
        let before = steps
        var conversation = Conversation(messages: front + shape.messages, tools: shape.tools)
        conversation.reasoning.isOn = shape.words.contains(Self.thought) ? true : nil
        renderings += 1
        do throws(TemplateError) {
            return try runner.rendering(of: conversation, traits, addsGenerationPrompt: true, steps: &steps).text
        } catch {
            guard steps - before <= Self.stepsOfOneRendering else { throw OutOfSteps() }
            return nil
        }
    }

    private mutating func verdict(_ shape: Shape, _ traits: TemplateTraits) -> Verdict {
        let text: [UInt8]
        do throws(OutOfSteps) {
            guard let rendered = try rendered(shape, traits) else { return .incomplete }
            text = Array(rendered.utf8)
        } catch {
            return .unknown
        }
        func places(_ word: String) -> [Int] { utf8Occurrences(of: Array(word.utf8), in: text) }
        let found = (front.map(\.content) + shape.words).map(places)
        guard found.allSatisfy({ $0.count == 1 }), shape.present.allSatisfy({ !places($0).isEmpty }),
            shape.forbidden.allSatisfy({ places($0).isEmpty }),
            Set(shape.balanced.map { places($0).count }).count < 2
        else { return .incomplete }
        let order = found.map { $0[0] }
        return order == order.sorted() ? .inOrder : .complete
    }

    private mutating func verdict(_ shapes: [Shape], _ traits: TemplateTraits) -> Verdict {
        var worst = Verdict.unknown
        for shape in shapes where worst > .incomplete { worst = min(worst, verdict(shape, traits)) }
        return worst
    }

    private func traits(_ change: Change) -> TemplateTraits {
        var changed = traits
        change(&changed)
        return changed
    }

    /// Leaves the traits as they are if the template shows these conversations, or makes the first change with which it
    /// does, best in order.
    /// - Returns: whether it shows them now.
    @discardableResult
    private mutating func settle(_ shapes: [Shape], _ changes: [Change]) -> Bool {
        guard verdict(shapes, traits) == .incomplete else { return true }
        var second: TemplateTraits?
        for change in changes {
            let changed = traits(change)
            switch verdict(shapes, changed) {
            case .inOrder:
                traits = changed
                return true
            case .complete: second = second ?? changed
            case .incomplete, .unknown: break
            }
        }
        traits = second ?? traits
        return second != nil
    }

    // MARK: Words

    private static let question = "probe-question"
    private static let system = "probe-system"
    private static let late = "probe-late"
    private static let answer = "probe-answer"
    private static let second = "probe-second"
    private static let argument = "probe-argument"
    private static let result = "probe-result"
    private static let thought = "probe-thought"

    private static func user(_ text: String = question) -> ChatMessage { ChatMessage(.user, text) }

    private static func calling(
        _ content: String = "", _ calls: [(name: String, argument: String)] = [("probe_call", argument)]
    ) -> ChatMessage {
        var message = ChatMessage(.assistant, content)
        message.toolCalls = calls.enumerated().map { index, call in
            ToolCall(
                id: "call0000\(index)", name: call.name,
                arguments: JSONObject([("probe_key", .string(call.argument))]))
        }
        return message
    }

    private static func result(_ text: String = result, of call: Int = 0) -> ChatMessage {
        var message = ChatMessage(.tool, text)
        message.toolCallID = "call0000\(call)"
        return message
    }

    private static func tool(_ name: String, _ change: (inout JSONObject) -> Void = { _ in }) -> JSONValue {
        var function = JSONObject()
        function["name"] = .string(name)
        function["description"] = "probe"
        function["parameters"] = [
            "type": "object", "properties": ["probe_key": ["type": "string", "description": "probe"]],
            "required": ["probe_key"],
        ]
        change(&function)
        return ["type": "function", "function": .object(function)]
    }

    private static let tools = [tool("probe_call")]

    // MARK: Texts

    /// What the simplest conversation needs.
    private mutating func findBeginning() -> Bool {
        let shape = Shape(messages: [Self.user()], words: [Self.question])
        let changes: [Change] = [
            { $0.emptyTools = nil }, { $0.emptyTools = [] }, { $0.textForms[.user] = .parts },
            {
                $0.emptyTools = nil
                $0.textForms[.user] = .parts
            },
        ]
        if settle([shape], changes) { return true }
        front = [ChatMessage(.system, "probe-front")]
        return settle([shape], changes + [{ $0.textForms = [.user: .parts, .system: .parts] }])
    }

    /// A shape in which a message comes in two parts.
    private static func inParts(_ slot: TemplateTraits.Slot) -> Shape {
        let parts = ["probe-part-one", "probe-part-two"]
        var shape = Shape(messages: [user()], words: [question])
        // A list printed as a list.
        shape.forbidden = ["'text': 'probe", "\"text\": \"probe", "\"text\":\"probe", "text\\\": \\\"probe"]
        switch slot {
        case .system:
            (shape.messages, shape.words) = ([ChatMessage(.system, parts: parts), user()], parts + [question])
        case .user: (shape.messages, shape.words) = ([ChatMessage(.user, parts: parts)], parts)
        case .assistant:
            shape.messages += [ChatMessage(.assistant, parts: parts), user(second)]
            shape.words += parts + [second]
        case .calls, .result:
            var calls = ChatMessage(.assistant, parts: slot == .calls ? parts : [])
            calls.toolCalls = calling().toolCalls
            var results = ChatMessage(.tool, parts: slot == .result ? parts : [result])
            results.toolCallID = "call00000"
            shape.messages += [calls, results]
            shape.words += slot == .calls ? parts + [argument, result] : [argument] + parts
            shape.tools = tools
        }
        return shape
    }

    private mutating func findParts(_ slot: TemplateTraits.Slot) {
        guard traits.textForms[slot] ?? .text == .text else { return }
        let changed = traits { $0.textForms[slot] = .either }
        let verdict = verdict(Self.inParts(slot), changed)
        if verdict == .complete || verdict == .inOrder { traits = changed }
    }

    private mutating func findTexts() {
        settle(
            [
                Shape(
                    messages: [Self.user(), ChatMessage(.assistant, Self.answer), Self.user(Self.second)],
                    words: [Self.question, Self.answer, Self.second])
            ],
            [{ $0.textForms[.assistant] = .parts }])
        findParts(.user)
        findParts(.assistant)
        settle(
            [
                Shape(messages: [Self.user(), Self.user(Self.second)], words: [Self.question, Self.second]),
                Shape(
                    messages: [
                        Self.user(), ChatMessage(.assistant, Self.answer), ChatMessage(.assistant, "probe-more"),
                        Self.user(Self.second),
                    ], words: [Self.question, Self.answer, "probe-more", Self.second]),
            ], [{ $0.joinsNeighbours = true }])
    }

    // MARK: System messages

    private mutating func findSystem() {
        guard front.isEmpty else { return }
        let first = ChatMessage(.system, Self.system)
        let simple = Shape(messages: [first, Self.user()], words: [Self.system, Self.question])
        settle([simple], [{ $0.textForms[.system] = .parts }, { $0.system = .nowhere }])
        var roles = [ChatMessage.Role.system]
        if runner.template.source.containsCodePoints("developer") {
            var shape = simple
            shape.messages[0].role = .developer
            let changed = traits { $0.knowsDeveloper = true }
            if verdict(shape, changed) > .incomplete {
                traits = changed
                roles.append(.developer)
            }
        }
        guard traits.system != .nowhere else { return }
        findParts(.system)
        settle([Shape(messages: [first], words: [Self.system])], [{ $0.wantsUserBehindSystem = true }])
        settle(
            roles.map {
                Shape(
                    messages: [first, ChatMessage($0, Self.late), Self.user()],
                    words: [Self.system, Self.late, Self.question])
            }, [{ $0.joinsFrontSystem = true }])
        let turn = [Self.user(), ChatMessage(.assistant, Self.answer)]
        settle(
            roles.flatMap { role in
                let later = turn + [ChatMessage(role, Self.late), Self.user(Self.second)]
                let words = [Self.question, Self.answer, Self.late, Self.second]
                return [
                    Shape(messages: [first] + later, words: [Self.system] + words),
                    Shape(messages: later, words: words),
                ]
            }, [{ $0.system = .front }])
    }

    // MARK: Tools

    private mutating func findTools() {
        func shape(_ tool: JSONValue) -> Shape {
            Shape(messages: [Self.user()], words: [Self.question], tools: [tool], present: ["probe_call"])
        }
        guard verdict(shape(Self.tool("probe_call")), traits) > .incomplete else {
            traits.rendersTools = false
            return
        }
        func parameters(_ properties: JSONValue) -> (inout JSONObject) -> Void {
            { $0["parameters"] = ["type": "object", "properties": properties, "required": ["probe_key"]] }
        }
        let forms: [(ToolForm, [(inout JSONObject) -> Void])] = [
            (.descriptions, [{ $0["description"] = nil }]),
            (
                .noNulls,
                [
                    { $0["description"] = .null },
                    parameters(["probe_key": ["type": "string", "description": .null] as JSONValue]),
                ]
            ),
            (
                .parameters,
                [
                    { $0["parameters"] = nil }, { $0["parameters"] = .null },
                    { $0["parameters"] = .object(JSONObject()) },
                ]
            ),
            (.properties, [parameters(["probe_key": ["type": "string"]]), parameters(["probe_key": ["anyOf": []]])]),
            (
                .plainTypes,
                [
                    parameters(["probe_key": ["type": ["string", "null"], "description": "probe"]]),
                    parameters(["probe_key": ["type": "object", "description": "probe"]]),
                ]
            ),
            (.objectSchemas, [parameters(["probe_key": true])]),
        ]
        for (form, changes) in forms {
            let shapes = changes.map { shape(Self.tool("probe_call", $0)) }
            for change in [{ $0.toolForm.insert(form) }, { $0.toolForm.formUnion([form, .properties]) }] as [Change] {
                guard shapes.contains(where: { !isPrintable($0) }) else { break }
                let before = traits
                change(&traits)
                if shapes.contains(where: { !isPrintable($0) }) { traits = before }
            }
        }
    }

    /// Whether a tool is printed as it is, without Python's word for what it lacks.
    private mutating func isPrintable(_ shape: Shape) -> Bool {
        var whole = shape
        whole.tools = Self.tools
        let texts: (String?, String?)
        do throws(OutOfSteps) {
            texts = (try rendered(shape, traits), try rendered(whole, traits))
        } catch {
            return true
        }
        guard let text = texts.0, let plain = texts.1, text.containsCodePoints("probe_call") else { return false }
        func nones(_ text: String) -> Int { utf8Occurrences(of: Array("None".utf8), in: Array(text.utf8)).count }
        return nones(text) <= nones(plain)
    }

    // MARK: Calls

    private mutating func findCalls() {
        var one = Shape(
            messages: [Self.user(), Self.calling(), Self.result()],
            words: [Self.question, Self.argument, Self.result], tools: Self.tools, present: ["probe_call"])
        // An object printed as Python writes it, or a text that is escaped once more.
        one.forbidden = ["'probe_key': '\(Self.argument)'", "\\\"probe_key"]
        let shows = settle(
            [one],
            [
                { $0.wantsNullContent = true }, { $0.wantsArgumentText = true },
                { ($0.wantsArgumentText, $0.wantsNullContent) = (true, true) },
                { ($0.textForms[.result], $0.textForms[.calls]) = (.parts, .parts) },
            ])
        guard shows else { return findCallsInWords() }
        var several = one
        several.tools = [Self.tool("probe_call"), Self.tool("probe_other")]
        several.balanced = ["probe_call", "probe_other"]
        several.messages = [
            Self.user(), Self.calling("", [("probe_call", Self.argument), ("probe_other", "probe-value")]),
            Self.result(), Self.result("probe-outcome", of: 1),
        ]
        several.words = [Self.question, Self.argument, "probe-value", Self.result, "probe-outcome"]
        settle([several], [{ $0.callSequence = .inARow }, { $0.callSequence = .inTurns }])

        var beside = one
        beside.messages[1] = Self.calling(Self.answer)
        beside.words.insert(Self.answer, at: 1)
        // Harmony's template prints such a text as a thought.
        let isThought = runner.syntax.form == .harmony
        if isThought { beside.forbidden.append("<|channel|>analysis<|message|>" + Self.answer) }
        settle([beside], [{ $0.textBesideCalls = .spliced }, { $0.textBesideCalls = .ownMessage }])

        var followed = one
        followed.messages.append(Self.user(Self.second))
        followed.words.append(Self.second)
        settle([followed], [{ $0.bridge = .emptyAnswer }, { $0.bridge = .joined }])

        var named = one
        let id = "call_0123456789abcdefghij"
        named.messages[1].toolCalls[0].id = id
        named.messages[2].toolCallID = id
        settle([named], [{ $0.shortensIDs = true }])
        if front.isEmpty, traits.system != .nowhere {
            var instructed = one
            instructed.messages.insert(ChatMessage(.system, Self.system), at: 0)
            instructed.words.insert(Self.system, at: 0)
            settle([instructed], [{ $0.showsSystemAtLastQuestion = true }])
        }
        findParts(.result)
        if traits.textBesideCalls == .inMessage { findParts(.calls) }
    }

    private mutating func findCallsInWords() {
        traits.rendersCalls = false
        let shape = Shape(
            messages: [Self.user(), Self.calling(), Self.result()],
            words: [Self.question, Self.argument, Self.result], tools: Self.tools)
        // Without a place for tools the word "tool" means nothing to the model either.
        guard traits.rendersTools, verdict(shape, traits) > .incomplete else {
            traits.rendersResults = false
            return
        }
        findParts(.result)
    }

    // MARK: Thoughts

    private mutating func findThoughts() {
        var message = traits.rendersCalls ? Self.calling() : ChatMessage(.assistant, Self.answer)
        message.reasoning = Self.thought
        var shape = Shape(messages: [Self.user(), message], words: [Self.question, Self.thought])
        if traits.rendersCalls {
            shape.messages.append(Self.result())
            shape.words += [Self.argument, Self.result]
            shape.tools = Self.tools
        } else {
            shape.messages.append(Self.user(Self.second))
            shape.words += [Self.answer, Self.second]
        }
        let source = runner.template.source
        let members = ["reasoning_content", "reasoning", "thinking", "thought"].filter(source.containsCodePoints)
        for thoughts in members.map({ TemplateTraits.Thoughts.member($0) })
            + (source.containsCodePoints("'thinking'") ? [.part] : [])
        {
            let changed = traits { $0.thoughts = thoughts }
            let verdict = verdict(shape, changed)
            guard verdict == .complete || verdict == .inOrder else { continue }
            traits = changed
            return
        }
    }
}
