extends SceneTree
# What Godot 3 makes of the same frames, in its own form of the resource.


func _init():
	var frames = load("res://sprites/sprites.tres")
	var animations = {}
	for animation in frames.get_animation_names():
		var pixels = []
		for index in frames.get_frame_count(animation):
			var texture = frames.get_frame(animation, index)
			var page = texture.atlas.get_data()
			page.convert(Image.FORMAT_RGBA8)
			var image = Image.new()
			image.create(texture.get_width(), texture.get_height(), false, Image.FORMAT_RGBA8)
			image.blit_rect(page, texture.region, texture.margin.position)
			pixels.append(image.get_data().hex_encode().sha256_text())
		animations[animation] = pixels
	print("found ", to_json({"animations": animations}))
	quit()
