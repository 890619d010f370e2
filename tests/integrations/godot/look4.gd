extends Node
## What Godot 4 makes of the example's scene and of the resource that it shows.


func _ready() -> void:
	# A game without the editor loads imported pictures only: this one stands where its import would.
	var picture := ImageTexture.create_from_image(Image.load_from_file("res://sprites/sprites.png"))
	picture.take_over_path("res://sprites/sprites.png")
	var scene: Node = load("res://main.tscn").instantiate()
	var shown := {}
	for sprite in scene.get_children():
		shown[sprite.name] = sprite.animation
	var frames: SpriteFrames = scene.get_child(0).sprite_frames
	var animations := {}
	for animation in frames.get_animation_names():
		var pixels := []
		for index in frames.get_frame_count(animation):
			var texture: AtlasTexture = frames.get_frame_texture(animation, index)
			var page := texture.atlas.get_image()
			page.convert(Image.FORMAT_RGBA8)
			var image := Image.create_empty(texture.get_width(), texture.get_height(), false, Image.FORMAT_RGBA8)
			image.blit_rect(page, Rect2i(texture.region), Vector2i(texture.margin.position))
			pixels.append(image.get_data().hex_encode().sha256_text())
		animations[animation] = pixels
	print("found ", JSON.stringify({"shown": shown, "animations": animations}))
	scene.free()
	get_tree().quit()
