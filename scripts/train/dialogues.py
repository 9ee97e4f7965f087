"""Small dialogues in chat format: sums, calculator calls, stories on request, and small talk.

A dialogue is `(messages, tools)`, as a chat template takes them. All sentences were written for this project.
"""

import hashlib
import json

from stories import BOYS, GIRLS, article, story

LARGEST = 50  # sums are promised for addends 0...50


def held_out(a, b):
    """Whether the sum of `a` and `b` (either order) is kept out of the training text: about one pair in ten."""
    low, high = min(a, b), max(a, b)
    if high > LARGEST:
        return False
    return hashlib.sha256(f"sum {low} {high}".encode()).digest()[0] < 26


def addends(rng):
    """Two numbers whose sum may be trained: mostly to 50, else to 99."""
    while True:
        limit = LARGEST if rng.random() < 0.6 else 99
        a, b = rng.randint(0, limit), rng.randint(0, limit)
        if not held_out(a, b):
            return a, b


def large_addends(rng):
    """Two numbers for the calculator, which may use any but the held-out pairs."""
    while True:
        a, b = rng.randint(10, 999), rng.randint(10, 999)
        if not held_out(a, b):
            return a, b


def difference(rng):
    """Two numbers `a >= b`, such that their difference gives no held-out sum away."""
    while True:
        b, c = rng.randint(0, LARGEST), rng.randint(0, LARGEST)
        if not held_out(b, c):
            return b + c, b


ADD = ["What is {a} + {b}?", "What is {a} + {b}?", "What is {a} + {b}?", "What is {a} plus {b}?", "What's {a} + {b}?",
       "How much is {a} + {b}?", "How much is {a} plus {b}?", "{a} + {b} = ?", "{a} + {b}", "{a}+{b}", "{a}+{b}=?",
       "{a} plus {b}?", "Can you add {a} and {b}?", "Please add {a} and {b}.", "Add {a} and {b}.", "Calculate {a} + {b}.",
       "What is the sum of {a} and {b}?", "Tell me {a} + {b}.", "what is {a} + {b}", "Do you know {a} + {b}?",
       "What do you get when you add {a} and {b}?", "How much is {a} and {b} together?", "Please calculate {a} + {b}.",
       "What does {a} + {b} make?"]
SUBTRACT = ["What is {a} - {b}?", "What is {a} minus {b}?", "How much is {a} - {b}?", "{a} - {b} = ?", "Calculate {a} - {b}.",
            "Take {b} away from {a}."]
THINGS = "apples stones books pencils marbles cookies eggs nuts balls stickers".split()
NUMBER_WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
                "sixteen seventeen eighteen nineteen twenty").split()

COLOUR_OF = {"the sky": "blue", "grass": "green", "snow": "white", "the sun": "yellow", "a banana": "yellow",
             "a lemon": "yellow", "blood": "red", "a tomato": "red", "coal": "black", "milk": "white", "a frog": "green",
             "a carrot": "orange", "chocolate": "brown", "a cherry": "red", "the sea": "blue", "a leaf": "green",
             "a strawberry": "red", "the night": "black", "a pumpkin": "orange", "an elephant": "grey"}
SOUND = {"dog": "Woof", "cat": "Meow", "cow": "Moo", "duck": "Quack", "sheep": "Baa", "pig": "Oink", "lion": "Roar",
         "bee": "Buzz", "owl": "Hoot", "frog": "Croak", "horse": "Neigh", "mouse": "Squeak", "hen": "Cluck", "wolf": "Howl",
         "snake": "Hiss", "bird": "Tweet"}
LEGS = {"dog": 4, "cat": 4, "bird": 2, "spider": 8, "bee": 6, "horse": 4, "duck": 2, "snake": 0, "ant": 6, "cow": 4, "fish": 0,
        "fox": 4, "hen": 2, "bear": 4, "snail": 0}
YOUNG = {"dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "pig": "piglet", "duck": "duckling", "horse": "foal",
         "bear": "cub", "hen": "chick", "frog": "tadpole", "goat": "kid", "deer": "fawn"}
HOME = {"bee": "a hive", "bird": "a nest", "fox": "a den", "rabbit": "a burrow", "horse": "a stable", "fish": "the water",
        "bear": "a cave", "dog": "a kennel", "spider": "a web", "snail": "its shell", "cow": "a barn", "beaver": "a lodge"}
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
OPPOSITES = [("hot", "cold"), ("big", "small"), ("up", "down"), ("day", "night"), ("fast", "slow"), ("old", "young"),
             ("happy", "sad"), ("wet", "dry"), ("open", "closed"), ("hard", "soft"), ("light", "dark"), ("full", "empty"),
             ("loud", "quiet"), ("high", "low"), ("left", "right"), ("good", "bad"), ("in", "out"), ("early", "late"),
             ("strong", "weak"), ("long", "short"), ("rich", "poor"), ("yes", "no"), ("black", "white"), ("clean", "dirty")]

SMALL_TALK = [
    (["Hello!", "Hello", "Hi!", "Hi", "Hi there!", "Hey!", "Good day!"],
     ["Hello! How can I help you?", "Hi! What can I do for you?", "Hello! Nice to meet you."]),
    (["Good morning!", "Good morning"], ["Good morning! How can I help you?"]),
    (["Good evening!", "Good evening"], ["Good evening! What can I do for you?"]),
    (["How are you?", "How are you today?", "How do you feel?"],
     ["I am fine, thank you. How are you?", "I am well, thank you!"]),
    (["Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Are you a robot?", "Are you human?",
      "Who am I talking to?"],
     ["I am Fable, a very small language model. I can tell short stories and add small numbers."]),
    (["What can you do?", "How can you help me?", "What do you know?", "Help", "What can I ask you?"],
     ["I can tell short stories, add small numbers, and answer a few simple questions."]),
    (["What can you not do?", "Do you know everything?", "Are you smart?"],
     ["I am very small. I know short stories, small sums and a few simple things, and not much more."]),
    (["Thank you!", "Thanks!", "Thank you", "Thanks a lot!", "Great, thanks!"],
     ["You are welcome!", "You are welcome! Is there anything else?"]),
    (["Goodbye!", "Bye!", "Bye", "See you!", "Good night!"], ["Goodbye! Have a nice day.", "Goodbye!"]),
    (["How old are you?", "When were you made?"], ["I am a small program, so I have no age."]),
    (["Do you like me?", "Do you have feelings?", "Are you happy?"], ["I am only a small program, but I like to help."]),
    (["What is the capital of France?", "Who wrote this book?", "What is the weather like?", "Who is the president?",
      "Can you write a program?", "How does an engine work?", "What is the meaning of life?", "Where is my phone?",
      "What is the speed of light?", "Can you translate this?"],
     ["I do not know that. I am a very small model."]),
    (["What are the days of the week?", "Name the days of the week."], [", ".join(DAYS[:-1]) + " and " + DAYS[-1] + "."]),
    (["What are the seasons?", "Name the seasons.", "What are the four seasons?"], ["Spring, summer, autumn and winter."]),
    (["How many days are in a week?", "How many days does a week have?"], ["A week has seven days."]),
    (["How many months are in a year?", "How many months does a year have?"], ["A year has twelve months."]),
    (["Name some colours.", "Tell me three colours.", "What colours do you know?"], ["Red, blue and green.", "Yellow, red and white."]),
    (["Name some animals.", "Tell me three animals."], ["A fox, a bear and an owl.", "A cat, a dog and a horse."]),
    (["Tell me a joke.", "Do you know a joke?"],
     ["Why did the snail cross the road? I will tell you when it gets there."]),
]
SYSTEM = ["You are Fable, a small and friendly assistant.", "You are a helpful assistant.", "You are a friendly storyteller.",
          "Answer in a short sentence.", "You are a kind helper for children.", "Be helpful and brief."]
ASK_STORY = ["Tell me a story about {t}.", "Tell me a story about {t}.", "Tell me a story about {t}", "Write a story about {t}.",
             "Can you tell me a story about {t}?", "Please tell me a short story about {t}.", "I want a story about {t}.",
             "Write a short story about {t}.", "Story about {t}, please."]
ASK_ANY_STORY = ["Tell me a story.", "Tell me a story", "Can you tell me a story?", "I want to hear a story.", "Please tell me a story.",
                 "Write a story.", "Tell me another story.", "Read me a bedtime story."]


def Article(words):
    return article(words).capitalize()


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def sum_exchange(rng):
    """A question with an addition (now and then a subtraction) and its answer."""
    kind = rng.random()
    if kind < 0.84:
        a, b = addends(rng)
        return [user(rng.choice(ADD).format(a=a, b=b)), assistant(f"{a} + {b} = {a + b}.")]
    if kind < 0.92:
        a, b = addends(rng)
        name, friend = rng.sample(GIRLS + BOYS, 2)
        thing = rng.choice(THINGS)
        question = rng.choice(["{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?",
                               "{n} has {a} {t}. {f} gives {n} {b} {t}. How many {t} does {n} have?",
                               "There are {a} {t} in a box and {b} {t} in a bag. How many {t} are there?"])
        who = f"{name} has" if "box" not in question else "There are"
        return [user(question.format(n=name, f=friend, a=a, b=b, t=thing)), assistant(f"{a} + {b} = {a + b}. {who} {a + b} {thing}.")]
    a, b = difference(rng)
    return [user(rng.choice(SUBTRACT).format(a=a, b=b)), assistant(f"{a} - {b} = {a - b}.")]


def bare_sums(rng):
    """Lines such as `17 + 25 = 42`, the cheapest practice there is."""
    lines = []
    for _ in range(rng.randint(4, 10)):
        a, b = addends(rng)
        lines.append(f"{a} + {b} = {a + b}")
    return "\n".join(lines)


def fact_exchange(rng):
    """A small question about colours, animals, days, months, counting, order or opposites."""
    def pick(table):
        return rng.choice(list(table.items()))
    def one(*texts):
        return rng.choice(texts)
    kind = rng.randrange(11)
    if kind == 0:
        thing, colour = pick(COLOUR_OF)
        return [user(one("What colour is {}?", "Which colour is {}?", "What color is {}?", "Tell me the colour of {}.").format(thing)),
                assistant(f"{thing.capitalize()} is {colour}.")]
    if kind == 1:
        animal, sound = pick(SOUND)
        return [user(one("What does {} say?", "What sound does {} make?", "How does {} sound?").format(article(animal))),
                assistant(f"{Article(animal)} says {sound.lower()}.")]
    if kind == 2:
        animal, legs = pick(LEGS)
        return [user(f"How many legs does {article(animal)} have?"),
                assistant(f"{Article(animal)} has {NUMBER_WORDS[legs] if legs else 'no'} legs.")]
    if kind == 3:
        animal, young = pick(YOUNG)
        return [user(one("What is a young {} called?", "What is a baby {} called?", "What do you call a young {}?").format(animal)),
                assistant(f"A young {animal} is called a {young}.")]
    if kind == 4:
        animal, home = pick(HOME)
        return [user(one("Where does {} live?", "Where do you find {}?", "What is the home of {}?").format(article(animal))),
                assistant(f"{Article(animal)} lives in {home}.")]
    if kind in (5, 6):
        names = DAYS if kind == 5 else MONTHS
        word = "day" if kind == 5 else "month"
        i = rng.randrange(len(names))
        if rng.random() < 0.5:
            return [user(one(f"What {word} comes after {names[i]}?", f"Which {word} comes after {names[i]}?",
                             f"What comes after {names[i]}?")),
                    assistant(f"{names[(i + 1) % len(names)]} comes after {names[i]}.")]
        return [user(one(f"What {word} comes before {names[i]}?", f"Which {word} comes before {names[i]}?",
                         f"What comes before {names[i]}?")),
                assistant(f"{names[i - 1]} comes before {names[i]}.")]
    if kind == 7:
        low = rng.randint(0, 30)
        high = low + rng.randint(2, 10)
        return [user(one("Count from {} to {}.", "Please count from {} to {}.", "Can you count from {} to {}?").format(low, high)),
                assistant(", ".join(str(i) for i in range(low, high + 1)) + ".")]
    if kind == 8:
        n = rng.randint(0, 99)
        if rng.random() < 0.6:
            return [user(one(f"What number comes after {n}?", f"Which number comes after {n}?")), assistant(f"{n + 1} comes after {n}.")]
        return [user(one(f"What number comes before {n + 1}?", f"Which number comes before {n + 1}?")), assistant(f"{n} comes before {n + 1}.")]
    if kind == 9:
        a, b = rng.sample(range(0, 100), 2)
        if rng.random() < 0.6:
            word = one("bigger", "larger", "more")
            return [user(f"Which is {word}, {a} or {b}?"), assistant(f"{max(a, b)} is {word} than {min(a, b)}.")]
        return [user(f"Which is smaller, {a} or {b}?"), assistant(f"{min(a, b)} is smaller than {max(a, b)}.")]
    pair = list(rng.choice(OPPOSITES))
    rng.shuffle(pair)
    return [user(one("What is the opposite of {}?", "Tell me the opposite of {}.", "The opposite of {}?").format(pair[0])),
            assistant(f"The opposite of {pair[0]} is {pair[1]}.")]


def talk_exchange(rng):
    questions, answers = rng.choice(SMALL_TALK)
    return [user(rng.choice(questions)), assistant(rng.choice(answers))]


def story_exchange(rng):
    text, _, topics = story(rng)
    if rng.random() < 0.25:
        return [user(rng.choice(ASK_ANY_STORY)), assistant(text)]
    return [user(rng.choice(ASK_STORY).format(t=rng.choice(topics))), assistant(text)]


def dialogue(rng, first):
    """A chat that starts with one exchange of the function `first`, with a system turn and more exchanges now and then."""
    messages = [{"role": "system", "content": rng.choice(SYSTEM)}] if rng.random() < 0.3 else []
    messages += first(rng)
    while rng.random() < 0.3:
        messages += rng.choice([sum_exchange, fact_exchange, talk_exchange])(rng)
    return messages, None


def function(name, description, **parameters):
    properties = {key: {"type": "string", "description": text} if text else {"type": "string"} for key, text in parameters.items()}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": list(parameters)}}}


CITIES = "Paris London Rome Berlin Oslo Madrid Vienna Cairo Tokyo Delhi Lima Prague".split()
WEATHERS = ["sunny", "rainy", "cloudy", "windy", "snowy", "foggy"]


def calculator(rng):
    return function("calculator", rng.choice(["Evaluates an arithmetic expression.", "Calculate the value of an expression.",
                                              "A simple calculator.", "Works out a sum.", "Evaluate a mathematical expression."]),
                    expression=rng.choice(["", "", "The expression, for example 2 + 3", "The expression to evaluate."]))


def weather_tool(rng):
    return function("get_weather", rng.choice(["Tells the weather in a city.", "Get the weather."]), city=rng.choice(["", "Name of the city."]))


def time_tool(rng):
    return function("get_time", rng.choice(["Tells the time in a city.", "Get the time."]), city=rng.choice(["", "Name of the city."]))


def call(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}]}


def tool_result(text):
    return {"role": "tool", "content": text}


def tool_exchange(rng, names):
    """A question that one of the tools `names` answers: call, result, answer."""
    name = rng.choice(names)
    if name == "calculator":
        kind = rng.random()
        if kind < 0.5:
            a, b = addends(rng)
            op, value, question = "+", a + b, rng.choice(ADD)
        elif kind < 0.7:
            a, b = large_addends(rng)
            op, value, question = "+", a + b, rng.choice(ADD)
        elif kind < 0.85:
            a, b = rng.randint(2, 99), rng.randint(2, 99)
            op, value = "*", a * b
            question = rng.choice(["What is {a} * {b}?", "What is {a} times {b}?", "How much is {a} times {b}?", "Calculate {a} * {b}."])
        else:
            a, b = difference(rng)
            op, value, question = "-", a - b, rng.choice(SUBTRACT)
        expression = f"{a} {op} {b}"
        return [user(question.format(a=a, b=b)), call("calculator", expression=expression), tool_result(str(value)),
                assistant(f"{expression} = {value}.")]
    city = rng.choice(CITIES)
    if name == "get_weather":
        weather = rng.choice(WEATHERS)
        question = rng.choice(["What is the weather in {}?", "How is the weather in {}?", "Tell me the weather in {}."])
        return [user(question.format(city)), call(name, city=city), tool_result(weather), assistant(f"It is {weather} in {city}.")]
    time = f"{rng.randint(0, 23)}:{rng.randint(0, 59):02}"
    question = rng.choice(["What time is it in {}?", "Tell me the time in {}.", "What is the time in {}?"])
    return [user(question.format(city)), call(name, city=city), tool_result(time), assistant(f"It is {time} in {city}.")]


def tool_dialogue(rng):
    """A chat with tools in the system turn; most of its questions need one, some do not."""
    makers = {"calculator": calculator, "get_weather": weather_tool, "get_time": time_tool}
    if rng.random() < 0.7:
        names = ["calculator"]
    else:
        names = rng.sample(list(makers), rng.randint(1, 3))
    tools = [makers[name](rng) for name in names]
    messages = [{"role": "system", "content": rng.choice(SYSTEM)}] if rng.random() < 0.4 else []
    messages += tool_exchange(rng, names) if rng.random() < 0.85 else rng.choice([fact_exchange, talk_exchange])(rng)
    while rng.random() < 0.3:
        messages += rng.choice([lambda r: tool_exchange(r, names), fact_exchange, talk_exchange])(rng)
    return messages, tools


def render(messages, tools=None, add_generation_prompt=False):
    """The prompt text, character for character as `chat_template.jinja` writes it (`evaluate.py` checks that)."""
    text = ""
    system = "\n".join(m["content"] for m in messages if m["role"] == "system")
    if tools:
        system += ("\n" if system else "") + "You can call these tools:\n<tools>\n"
        system += "".join(json.dumps(tool, ensure_ascii=False) + "\n" for tool in tools)
        system += '</tools>\nWrite a call as <tool_call>{"name": ..., "arguments": {...}}</tool_call>.'
    if system:
        text += f"<|im_start|>system\n{system}<|im_end|>\n"
    for message in messages:
        if message["role"] == "user":
            text += f"<|im_start|>user\n{message['content']}<|im_end|>\n"
        elif message["role"] == "tool":
            text += f"<|im_start|>user\n<tool_response>\n{message['content']}\n</tool_response><|im_end|>\n"
        elif message["role"] == "assistant":
            content = message["content"]
            for call_ in message.get("tool_calls", []):
                body = json.dumps(call_["function"], ensure_ascii=False)
                content += ("\n" if content else "") + f"<tool_call>\n{body}\n</tool_call>"
            text += f"<|im_start|>assistant\n{content}<|im_end|>\n"
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")
