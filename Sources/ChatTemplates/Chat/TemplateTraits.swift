/// What a template can take, found out by rendering small conversations (``TemplateProbe``): templates differ in what
/// they know and in the form they want it in, and nothing in a model file says so. What a template refuses, drops or
/// prints as something else is given to it in another form, always the same; see ``fitted(_:_:)``.
struct TemplateTraits: Sendable, Equatable {
    /// Where system messages may stand.
    enum SystemPlace: Sendable {
        case anywhere
        /// In front of the conversation; a later one becomes a user's message.
        case front
        /// Nowhere: the first goes in front of what the user says first.
        case nowhere
    }

    /// How several calls of one message are written.
    enum CallSequence: Sendable {
        case together
        /// Messages of one call each, then the results.
        case inARow
        /// Each call with its results behind it.
        case inTurns
    }

    /// Where a text goes that an assistant wrote before its calls.
    enum TextBesideCalls: Sendable {
        case inMessage
        /// The template leaves it out and it is put in front of the mark of the call, where the model wrote it.
        case spliced
        case ownMessage
    }

    /// What is between a tool's result and a user's message.
    enum Bridge: Sendable {
        case none
        /// An answer without words.
        case emptyAnswer
        /// The user's text becomes the end of the result.
        case joined
    }

    /// How an assistant's thoughts are given.
    enum Thoughts: Sendable, Equatable {
        case member(String)
        /// As a part of the content, of type `thinking`.
        case part
    }

    /// What the texts of messages are given as.
    enum TextForm: Sendable {
        case text
        /// As text, or in the parts that they came in.
        case either
        case parts
    }

    /// A kind of message whose text templates may read in a way of its own.
    enum Slot: Sendable, CaseIterable {
        case system, user, assistant, calls, result

        init(_ message: ChatMessage) {
            self =
                switch message.role {
                case .system, .developer: .system
                case .user: .user
                case .assistant: message.toolCalls.isEmpty ? .assistant : .calls
                case .tool: .result
                }
        }
    }

    var textForms: [Slot: TextForm] = [:]
    /// `tools` where there are none; nil: the variable does not exist.
    var emptyTools: JSONValue? = .null
    var knowsDeveloper = false
    var system = SystemPlace.anywhere
    /// Several system messages in front are made one.
    var joinsFrontSystem = false
    /// A system message without any question is given as one.
    var wantsUserBehindSystem = false
    /// The system message is only printed beside a question that is the last message: behind a result it has to be put
    /// there (Mistral Nemo).
    var showsSystemAtLastQuestion = false
    /// The definitions of tools appear in the prompt.
    var rendersTools = true
    var toolForm: ToolForm = []
    /// Calls appear in the prompt.
    var rendersCalls = true
    /// Results are messages of tools, also where calls are only words.
    var rendersResults = true
    /// The arguments of a call are wanted as JSON text instead of as an object.
    var wantsArgumentText = false
    /// A call is only looked for in messages whose content is none.
    var wantsNullContent = false
    var callSequence = CallSequence.together
    var textBesideCalls = TextBesideCalls.inMessage
    var bridge = Bridge.none
    /// Messages of one role in a row are made one.
    var joinsNeighbours = false
    /// Ids of calls have exactly nine letters and digits (Mistral).
    var shortensIDs = false
    var thoughts = Thoughts.member("reasoning_content")

    /// What else to try when a template refuses a conversation: each goes further than the one before.
    var stricter: [TemplateTraits] {
        var traits = self
        let steps: [(inout TemplateTraits) -> Void] = [
            {
                $0.system = $0.system == .nowhere ? .nowhere : .front
                $0.joinsFrontSystem = true
            },
            { $0.system = .nowhere },
            {
                $0.joinsNeighbours = true
                $0.bridge = $0.bridge == .none ? .emptyAnswer : $0.bridge
            },
            { $0.textBesideCalls = $0.textBesideCalls == .inMessage ? .inMessage : .ownMessage },
            { $0.callSequence = $0.callSequence == .together ? .inARow : $0.callSequence },
            { $0.shortensIDs = true },
            { $0.toolForm = .all },
        ]
        var result: [TemplateTraits] = []
        for step in steps {
            let before = traits
            step(&traits)
            if traits != before { result.append(traits) }
        }
        return result
    }
}

/// What of a tool's definition has to be there, or may not be, for a template to print it.
struct ToolForm: OptionSet, Sendable {
    let rawValue: Int

    /// A `description` of null is taken out.
    static let noNulls = ToolForm(rawValue: 1)
    /// A tool without a `description` is given an empty one.
    static let descriptions = ToolForm(rawValue: 2)
    /// A tool has `parameters`, an object with `properties`.
    static let parameters = ToolForm(rawValue: 4)
    /// Every parameter has a `description` and a `type`: one that every template knows, since some take the letters of
    /// others for types, and the letters of these.
    static let properties = ToolForm(rawValue: 8)
    /// `type` is one text, and objects say what else they hold.
    static let plainTypes = ToolForm(rawValue: 16)
    /// A schema is an object, not `true` or `false`.
    static let objectSchemas = ToolForm(rawValue: 32)
    static let all: ToolForm = [.noNulls, .descriptions, .parameters, .properties, .plainTypes, .objectSchemas]

    func fitted(_ tool: JSONValue) -> JSONValue {
        guard !isEmpty, var object = tool.objectValue else { return tool }
        if var function = object["function"]?.objectValue {
            fit(&function)
            object["function"] = .object(function)
        } else {
            fit(&object)
        }
        return .object(object)
    }

    private func fit(_ function: inout JSONObject) {
        if contains(.noNulls), function["description"]?.isNull == true { function["description"] = nil }
        if contains(.descriptions), function["description"]?.isNull ?? true { function["description"] = "" }
        if contains(.parameters) {
            var parameters = function["parameters"]?.objectValue ?? JSONObject()
            if parameters["type"] == nil { parameters["type"] = "object" }
            if parameters["properties"]?.objectValue == nil { parameters["properties"] = .object(JSONObject()) }
            function["parameters"] = .object(parameters)
        }
        if let parameters = function["parameters"]?.objectValue {
            function["parameters"] = .object(fittedSchema(parameters, isParameter: false, depth: 0))
        }
    }

    private static let maximumDepth = 100

    private func fittedSchema(_ schema: JSONObject, isParameter: Bool, depth: Int) -> JSONObject {
        guard depth < Self.maximumDepth else { return schema }
        var schema = schema
        if contains(.noNulls), schema["description"]?.isNull == true { schema["description"] = nil }
        if isParameter, contains(.properties) {
            if schema["description"]?.isNull ?? true { schema["description"] = "" }
            if schema["type"] == nil { schema["type"] = "string" }
        }
        if contains(.plainTypes) {
            if let types = schema["type"]?.arrayValue {
                schema["type"] = types.first { $0.stringValue != nil && $0 != "null" } ?? "null"
            }
            if schema["type"] == "object", schema["additionalProperties"]?.objectValue == nil {
                schema["additionalProperties"] = ["type": "string"]
            }
        }
        if let properties = schema["properties"]?.objectValue {
            schema["properties"] = .object(
                JSONObject(properties.members.map { ($0, fittedSchema($1, isParameter: true, depth: depth + 1)) }))
        }
        if let items = schema["items"] {
            schema["items"] = fittedSchema(items, isParameter: false, depth: depth + 1)
        }
        return schema
    }

    private func fittedSchema(_ value: JSONValue, isParameter: Bool, depth: Int) -> JSONValue {
        switch value {
        case .object(let schema): .object(fittedSchema(schema, isParameter: isParameter, depth: depth))
        case .bool(let allows) where contains(.objectSchemas):
            .object(
                fittedSchema(
                    allows ? JSONObject() : JSONObject([("not", .object(JSONObject()))]), isParameter: isParameter,
                    depth: depth))
        default: value
        }
    }
}
